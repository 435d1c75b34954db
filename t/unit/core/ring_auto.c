/* The choice of the engine where the kernel refuses io_uring: a filter does
 * what container profiles and old kernels do. Each case is a child. */
/* needs: src/core/v2_ring.c src/core/v2_ring_op.c src/core/v2_ring_epoll.c */
/* needs: src/core/v2_ring_io.c src/core/v2_ring_bufs.c src/core/v2_buf.c */
/* needs: src/core/v2_time.c src/core/v2_addr.c src/core/v2_log.c */
/* needs: src/core/v2_core.c */
/* libs: -luring */

#include "ring_test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>


/* The numbers of io_uring calls are the same on all machines. */
static int
refuse(unsigned call, unsigned err)
{
    struct sock_filter  filter[] = {
        BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO|err),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW)
    };
    struct sock_fprog   prog = { v2_nelems(filter), filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
           && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}


/* 0: epoll was taken, and why says `text`. */
static int
child(unsigned call, unsigned err, const char *text)
{
    int              fds[2];
    probe_t          rd;
    const char      *why;
    v2_ring_conf_t   conf = { V2_ENGINE_AUTO, 8 };

    if (!refuse(call, err)) {
        return 77;
    }

    why = NULL;
    ring = v2_ring_create(&conf, &why);

    if (ring == NULL || why == NULL || strstr(why, text) == NULL
        || strcmp(v2_ring_name(ring), "epoll") != 0)
    {
        return 1;
    }

    engine = "epoll";
    probe_init(&rd);
    pair(fds, SOCK_STREAM);
    v2_ring_recv(ring, &rd.op, fds[0], V2_BUF_HAND);
    (void) !write(fds[1], "x", 1);

    if (!run_until(&rd, 1) || rd.res != 1) {
        return 2;
    }

    v2_log_set_level(V2_LOG_EMERG - 1);
    conf.engine = V2_ENGINE_IO_URING;

    return v2_ring_create(&conf, &why) == NULL ? 0 : 3;
}


int
main(void)
{
    int       status;
    pid_t     pid;
    unsigned  i;

    static const struct {
        unsigned     call, err;
        const char  *text;
    } cases[] = {
        { 425, EPERM, "not permitted" },        /* io_uring_setup */
        { 425, ENOSYS, "has no io_uring" },
        { 425, EINVAL, "older than 6.1" },
        { 425, ENOMEM, "RLIMIT_MEMLOCK" },
        { 427, EINVAL, "probed" }               /* io_uring_register */
    };

    if (!V2_HAVE_IO_URING) {
        skip_all("this build has no io_uring");
    }

    v2_log_init(2, V2_LOG_WARN, -1);
    v2_time_update();

    if (v2_buf_init(test_bufs) != V2_OK) {
        return 2;
    }

    for (i = 0; i < v2_nelems(cases); i++) {
        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            _exit(child(cases[i].call, cases[i].err, cases[i].text));
        }

        if (waitpid(pid, &status, 0) != pid) {
            fail("waitpid()");
            continue;
        }

        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            skip("no seccomp filters here");
            continue;
        }

        is_int(status, 0, "\"%s\": epoll", cases[i].text);
    }

    return done_testing();
}
