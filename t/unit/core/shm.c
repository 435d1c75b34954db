/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c */

#include "v2_shm.c"

#include "tap.h"

#include <sys/wait.h>


static long
blocks(int fd)
{
    struct stat  st;

    return fstat(fd, &st) == -1 ? -1 : (long) st.st_blocks / 2;
}


static void
test_life(v2_shm_t *shm, int fd)
{
    int        other;
    v2_shm_t  *again, h;

    diag("%" PRIu64 " MiB mapped, %ld KiB used", shm->size >> 20, blocks(fd));
    ok(blocks(fd) < 256, "an empty one is small");
    is_int(ftruncate(fd, 4096), -1, "it cannot shrink");
    is_int(ftruncate(fd, (off_t) shm->size + 4096), -1, "nor grow");
    is_int(shm->epoch, 1, "the epoch starts at 1");

    again = v2_shm_attach(fd);
    ok(again != NULL && again != shm, "another process maps it");
    atomic_store(&again->cut, 77);
    is_int(shm->cut, 77, "it is the same memory");
    atomic_store(&shm->cut, 0);
    v2_shm_detach(again);

    v2_log_set_level(V2_LOG_EMERG - 1);

    shm->version++;
    ok(v2_shm_attach(fd) == NULL, "another version is refused");
    shm->version--;
    shm->accounts += 64;
    ok(v2_shm_attach(fd) == NULL, "other places are refused");
    shm->accounts -= 64;

    memcpy(&h, shm, sizeof(h));
    other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ok(v2_shm_attach(other) == NULL, "an empty file is refused");
    ok(pwrite(other, &h, sizeof(h), 0) == (ssize_t) sizeof(h)
       && v2_shm_attach(other) == NULL, "a short one is refused");
    ok(ftruncate(other, (off_t) h.size) == 0
       && v2_shm_attach(other) == NULL, "one that may shrink is refused");
    close(other);

    v2_log_set_level(V2_LOG_ERR);

    again = v2_shm_attach(fd);
    ok(again != NULL, "the right one is still good");
    v2_shm_detach(again);
}


static void
test_wipe(v2_shm_t *shm, int fd)
{
    long      before, full;
    uint8_t  *p;

    p = v2_shm_at(shm, shm->keys);
    before = blocks(fd);
    memset(p, 0xff, 1 << 20);
    full = blocks(fd);
    ok(full >= before + 1024, "written pages are there");

    v2_shm_wipe(shm, shm->keys + 100, (1 << 20) - 200);
    ok(p[99] == 0xff && p[100] == 0, "wiped from the first byte");
    ok(p[(1 << 20) - 101] == 0 && p[(1 << 20) - 100] == 0xff,
       "to the last");
    ok(p[1 << 19] == 0, "and between");
    ok(blocks(fd) <= before + 64, "whole pages went back: %ld, %ld, %ld KiB",
       before, full, blocks(fd));

    v2_shm_wipe(shm, shm->keys + 10, 20);
    ok(p[9] == 0xff && p[10] == 0 && p[29] == 0 && p[30] == 0xff,
       "less than a page is wiped by hand");
    v2_shm_wipe(shm, shm->keys, 1 << 20);
}


static void
test_procs(v2_shm_t *shm)
{
    int             i, n;
    v2_shm_proc_t  *a, *b, *c;
    v2_shm_rows_t  *rows;

    rows = v2_shm_rows(shm, 3);
    rows->account[5] = 9;
    atomic_store(&rows->live_udp[V2_SHM_ACCOUNTS - 1], 4);

    a = v2_shm_proc_take(shm, V2_ROLE_MASTER, 0);
    b = v2_shm_proc_take(shm, V2_ROLE_WORKER, 3);
    ok(a != NULL && b != NULL && a != b, "two slots");
    is_int(b->worker, 3, "the worker has its block");
    ok(rows->account[5] == 0 && rows->live_udp[V2_SHM_ACCOUNTS - 1] == 0,
       "it was wiped");

    v2_log_set_level(V2_LOG_EMERG);
    ok(v2_shm_proc_take(shm, V2_ROLE_WORKER, 3) == NULL,
       "nobody else gets it");
    ok(v2_shm_proc_take(shm, V2_ROLE_WORKER, V2_SHM_WORKERS) == NULL,
       "nor one that is not there");

    c = v2_shm_proc_take(shm, V2_ROLE_MASTER, 3);
    ok(c != NULL, "a master needs no block");

    for (n = 3, i = 0; i < (int) V2_SHM_PROCS; i++) {
        n += v2_shm_proc_take(shm, V2_ROLE_PANEL, 0) != NULL;
    }

    is_int(n, V2_SHM_PROCS, "so many slots there are");
    v2_log_set_level(V2_LOG_ERR);

    v2_shm_proc_clear(shm, 0);
    is_int(a->pid, getpid(), "clearing nobody clears nothing");
    v2_shm_proc_clear(shm, (uint32_t) getpid());
    ok(a->pid == 0 && b->role == V2_ROLE_FREE, "clearing a pid clears all");
}


static void
test_epoch(v2_shm_t *shm)
{
    uint64_t        e;
    v2_shm_proc_t  *w, *v;

    w = v2_shm_proc_take(shm, V2_ROLE_WORKER, 0);
    v = v2_shm_proc_take(shm, V2_ROLE_WORKER, 1);

    e = v2_shm_epoch_next(shm);
    ok(v2_shm_epoch_passed(shm, e), "who never woke holds nothing up");

    v2_shm_turn(shm, w);
    v2_shm_turn(shm, v);
    ok(v2_shm_epoch_passed(shm, e), "who woke after it neither");

    e = v2_shm_epoch_next(shm);
    ok(!v2_shm_epoch_passed(shm, e), "a running turn does");
    v2_shm_sleep(shm, w);
    ok(!v2_shm_epoch_passed(shm, e), "one of two sleeps");
    v2_shm_turn(shm, v);
    ok(v2_shm_epoch_passed(shm, e), "the other began a new turn");
    ok(!v2_shm_epoch_passed(shm, e + 1), "an epoch to come has not passed");

    e = v2_shm_epoch_next(shm);
    ok(!v2_shm_epoch_passed(shm, e), "again");
    is_int(v2_shm_epoch_seen(shm), e - 1, "the one before is seen by all");
    v2_shm_proc_clear(shm, (uint32_t) getpid());
    ok(v2_shm_epoch_passed(shm, e), "the dead hold nothing up");
}


/* Slots are taken by processes that start at the same time. */
static void
test_race(v2_shm_t *shm)
{
    int    i, n, status, bad = 0;
    pid_t  pids[16];

    for (i = 0; i < 16; i++) {
        pids[i] = fork();

        if (pids[i] == 0) {
            _exit(v2_shm_proc_take(shm, V2_ROLE_WORKER, (unsigned) i)
                  == NULL);
        }
    }

    for (i = 0; i < 16; i++) {
        bad += waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    }

    is_int(bad, 0, "sixteen processes take slots at once");

    for (n = 0, i = 0; i < (int) V2_SHM_PROCS; i++) {
        n += shm->procs[i].role == V2_ROLE_WORKER;
    }

    is_int(n, 16, "each has one of its own");

    for (i = 0; i < 16; i++) {
        v2_shm_proc_clear(shm, (uint32_t) pids[i]);
    }

    is_int(shm->procs[15].pid, 0, "and all are given back");
}


int
main(void)
{
    int        fd = -1;
    v2_shm_t  *shm;

    v2_log_init(2, V2_LOG_ERR, -1);

    shm = v2_shm_create(&fd);
    ok(shm != NULL && fd >= 0, "shared memory is made");

    if (shm == NULL) {
        return done_testing();
    }

    test_life(shm, fd);
    test_wipe(shm, fd);
    test_procs(shm);
    test_epoch(shm);
    test_race(shm);

    v2_shm_detach(shm);
    close(fd);

    return done_testing();
}
