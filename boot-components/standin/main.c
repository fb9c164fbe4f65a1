/* SPDX-License-Identifier: MIT */
/*
 * The stand-in: speaks enough of Katana's interface to be driven by real clients, for tests
 * and for a first tour. Run as /bin/katana by the guest's init; runs on a host as well.
 * Exit codes: 0 stopped, 1 start failed, 2 usage, 3 --fake.crash-after.
 */
#include "fake.h"
#include "http.h"
#include "rpc.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct program {
    struct options options;
    struct rpc rpc;
    struct attester attester;
    int64_t crash_at;   /* 0: never */
    int64_t next_block; /* 0: none */
};

static int
time_to(int64_t when, int64_t now)
{
    return when <= now ? 0 : when - now > 60000 ? 60000 : (int)(when - now);
}

static int
tick(void *context)
{
    struct program *program = context;
    int64_t now = now_ms();
    int wait = -1;

    if (program->crash_at != 0) {
        if (now >= program->crash_at) {
            say("fake.crash-after: exit code 3");
            _exit(3);
        }
        wait = time_to(program->crash_at, now);
    }
    if (program->next_block != 0) {
        if (now >= program->next_block) {
            chain_make_block(&program->rpc.chain);
            program->next_block = now + program->options.block_time_ms;
        }

        int next = time_to(program->next_block, now);

        wait = wait < 0 || next < wait ? next : wait;
    }
    return wait;
}

static void
handle(void *context, const struct http_request *request, struct http_reply *reply)
{
    struct program *program = context;

    rpc_handle(&program->rpc, request, reply);
}

/* A descriptor that becomes readable when the program shall end. */
static int
open_signals(const struct options *options)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    sigemptyset(&set);
    if (options->ignore_stop) {
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
    } else {
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigprocmask(SIG_BLOCK, &set, NULL);
    }
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
run(struct program *program)
{
    const struct options *options = &program->options;
    int signals = open_signals(options);

    fake_start(options);
    if (options->ready_after_ms > 0) {
        struct pollfd set = {.fd = signals, .events = POLLIN};

        say("fake.ready-after: not listening for %u ms", options->ready_after_ms);
        if (poll(&set, 1, (int)options->ready_after_ms) != 0)
            return 0;
    }

    int listener = http_listen(options->http_addr, options->http_port);

    if (listener < 0)
        return 1;
    say("RPC server on %s:%u, block %llu", options->http_addr, options->http_port,
        (unsigned long long)program->rpc.chain.block);
    if (options->crash_after_ms > 0)
        program->crash_at = now_ms() + options->crash_after_ms;
    if (options->block_time_ms > 0)
        program->next_block = now_ms() + options->block_time_ms;

    const struct http_hooks hooks = {handle, tick, program};

    http_serve(listener, signals, &hooks);
    say("stopped");
    return 0;
}

static bool
open_attester(struct program *program)
{
    if (program->options.attester == NULL)
        return true;
    program->rpc.attester = &program->attester;
    return attester_open(&program->attester, program->options.attester);
}

int
main(int argc, char **argv)
{
    struct program program = {0};

    if (!options_parse(&program.options, argc, argv))
        return 2;
    if (program.options.version) {
        puts("katana stand-in " STANDIN_VERSION);
        return 0;
    }
    say("version " STANDIN_VERSION ": this is a stand-in, not Katana; it keeps no real chain");
    if (program.options.fatal != NULL) {
        /* In a guest its init has acted on this already. */
        printf("FATAL: %s\n", program.options.fatal);
        return 1;
    }
    program.rpc.options = &program.options;
    if (!chain_set_id(&program.rpc.chain, program.options.chain_id)) {
        fprintf(stderr, "error: invalid value for '--chain-id'\n");
        return 2;
    }
    if (!open_attester(&program)) {
        /* It holds a key. */
        fprintf(stderr, "error: invalid value for '--fake.attester'\n");
        return 2;
    }
    if (!chain_open(&program.rpc.chain, program.options.db_dir))
        return 1;

    int code = run(&program);

    attester_close(&program.attester);
    return code;
}
