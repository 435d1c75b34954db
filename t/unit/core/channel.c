/* Messages with descriptors: whole, cut, with too many, to nobody; and that no
 * descriptor is left over. */
/* needs: src/core/v2_log.c src/core/v2_core.c */

#include "../../../src/core/v2_channel.c"

#include "../tap.h"

#include <dirent.h>
#include <fcntl.h>

static int  pair[2];


static int
open_fds(void)
{
    int   n;
    DIR  *d;

    d = opendir("/proc/self/fd");

    for (n = 0; d != NULL && readdir(d) != NULL; n++) {
        /* void */
    }

    (void) closedir(d);

    return n;
}


static void
begin(void)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET|SOCK_CLOEXEC, 0, pair) == -1) {
        exit(2);
    }
}


static void
end(void)
{
    (void) close(pair[0]);
    (void) close(pair[1]);
}


/* Bytes and descriptors as a process might send them that means no good. */
static void
send_raw(const void *data, size_t len, unsigned n)
{
    unsigned         i;
    struct iovec     iov;
    struct msghdr    mh;
    struct cmsghdr  *cm;
    union {
        struct cmsghdr  align;
        char            space[CMSG_SPACE(32 * sizeof(int))];
    } ctl;

    memset(&mh, 0, sizeof(mh));
    memset(&ctl, 0, sizeof(ctl));
    iov.iov_base = (void *) (uintptr_t) data;
    iov.iov_len = len;
    mh.msg_iov = &iov;
    mh.msg_iovlen = 1;

    if (n > 0) {
        mh.msg_control = ctl.space;
        mh.msg_controllen = CMSG_SPACE(n * sizeof(int));
        cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(n * sizeof(int));

        for (i = 0; i < n; i++) {
            memcpy(CMSG_DATA(cm) + i * sizeof(int), &pair[0], sizeof(int));
        }
    }

    if (sendmsg(pair[0], &mh, MSG_NOSIGNAL) == -1) {
        exit(2);
    }
}


static void
test_messages(void)
{
    int       fds[V2_CHANNEL_FDS], got[V2_CHANNEL_FDS], i, good;
    v2_msg_t  m, r;

    begin();
    memset(&m, 0, sizeof(m));
    is_int(v2_channel_recv(pair[1], &r, got), V2_AGAIN, "nothing there");

    m.type = V2_MSG_LISTEN;
    m.node = 7;
    m.arg = 8;
    m.arg2 = 9;
    snprintf(m.text, sizeof(m.text), "text");
    is_int(v2_channel_send(pair[0], &m, NULL), V2_OK, "a message");
    is_int(v2_channel_recv(pair[1], &r, got), V2_OK, "arrives");
    is_mem(&r, &m, sizeof(m), "as it was");

    for (i = 0; i < V2_CHANNEL_FDS; i++) {
        fds[i] = open("/dev/null", O_RDONLY|O_CLOEXEC);
    }

    m.fds_n = V2_CHANNEL_FDS;
    is_int(v2_channel_send(pair[0], &m, fds), V2_OK, "with %d descriptors",
           V2_CHANNEL_FDS);
    is_int(v2_channel_recv(pair[1], &r, got), V2_OK, "arrives, too");
    is_int(r.fds_n, V2_CHANNEL_FDS, "with all");

    for (i = 0, good = 0; i < V2_CHANNEL_FDS; i++) {
        good += fcntl(got[i], F_GETFD) == FD_CLOEXEC;
        (void) close(got[i]);
        (void) close(fds[i]);
    }

    is_int(good, V2_CHANNEL_FDS, "that no program inherits");

    m.fds_n = 0;
    memset(m.text, 'x', sizeof(m.text));
    (void) v2_channel_send(pair[0], &m, NULL);
    (void) v2_channel_recv(pair[1], &r, got);
    is_int(strlen(r.text), sizeof(r.text) - 1, "a text has an end");
    end();
}


static void
test_queue(void)
{
    int       n, got[V2_CHANNEL_FDS], back;
    v2_int_t  rc;
    v2_msg_t  m, r;

    begin();
    memset(&m, 0, sizeof(m));
    m.type = V2_MSG_COMMIT;

    for (n = 0; n < 100000; n++) {
        m.arg = (uint32_t) n;
        rc = v2_channel_send(pair[0], &m, NULL);

        if (rc != V2_OK) {
            break;
        }
    }

    is_int(rc, V2_AGAIN, "a queue is full after %d messages", n);

    for (back = 0; v2_channel_recv(pair[1], &r, got) == V2_OK; back++) {
        if (r.arg != (uint32_t) back) {
            break;
        }
    }

    is_int(back, n, "all of them arrive, in order");
    is_int(v2_channel_send(pair[0], &m, NULL), V2_OK, "then it takes more");

    (void) v2_channel_recv(pair[1], &r, got);
    (void) close(pair[0]);
    is_int(v2_channel_recv(pair[1], &r, got), V2_DONE, "the other end closed");
    is_int(v2_channel_send(pair[1], &m, NULL), V2_ERROR, "nobody to send to");
    (void) close(pair[1]);
}


static void
test_foreign(void)
{
    int       got[V2_CHANNEL_FDS], before;
    v2_msg_t  m, r;
    char      big[sizeof(v2_msg_t) + 1];

    begin();
    before = open_fds();
    memset(&m, 0, sizeof(m));
    memset(big, 0, sizeof(big));

    send_raw(&m, 1, 0);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "one byte");
    send_raw(&m, sizeof(m) - 1, 2);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "a byte too few");
    send_raw(big, sizeof(big), 2);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "a byte too many");

    m.fds_n = 1;
    send_raw(&m, sizeof(m), 0);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "no descriptor, but "
           "it says one");
    m.fds_n = 0;
    send_raw(&m, sizeof(m), 3);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "three that it hides");
    m.fds_n = V2_CHANNEL_FDS + 1;
    send_raw(&m, sizeof(m), V2_CHANNEL_FDS + 1);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "more than may come");
    m.fds_n = UINT32_MAX;
    send_raw(&m, sizeof(m), 32);
    is_int(v2_channel_recv(pair[1], &r, got), V2_ERROR, "very many");
    is_int(open_fds(), before, "none is left open");

    m.fds_n = 0;
    send_raw(&m, sizeof(m), 0);
    is_int(v2_channel_recv(pair[1], &r, got), V2_OK, "a good one afterwards");
    end();
}


int
main(void)
{
    v2_log_init(-1, V2_LOG_EMERG, -1);

    test_messages();
    test_queue();
    test_foreign();

    return done_testing();
}
