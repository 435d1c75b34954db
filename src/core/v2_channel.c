/* Fixed messages with descriptors over a SOCK_SEQPACKET pair: a message comes
 * whole or not at all, so there is no framing to get wrong. Runs in master,
 * workers and panel process; never waits.
 *
 * A message from a less privileged process is foreign: its size, its number
 * of descriptors and the end of its text are made true here. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_channel.h"
#include "v2_log.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

typedef union {
    struct cmsghdr  align;
    char            space[CMSG_SPACE(V2_CHANNEL_FDS * sizeof(int))];
} v2_channel_ctl_t;

static unsigned v2_channel_fds(struct msghdr *mh, int *fds);


v2_int_t
v2_channel_send(int fd, const v2_msg_t *m, const int *fds)
{
    ssize_t            n;
    v2_msg_t           copy;
    struct iovec       iov;
    struct msghdr      mh;
    struct cmsghdr    *cm;
    v2_channel_ctl_t   ctl;

    v2_assert(m->fds_n <= V2_CHANNEL_FDS);

    copy = *m;
    iov.iov_base = &copy;
    iov.iov_len = sizeof(v2_msg_t);

    memset(&mh, 0, sizeof(struct msghdr));
    mh.msg_iov = &iov;
    mh.msg_iovlen = 1;

    if (m->fds_n != 0) {
        memset(&ctl, 0, sizeof(ctl));
        mh.msg_control = ctl.space;
        mh.msg_controllen = CMSG_SPACE(m->fds_n * sizeof(int));

        cm = CMSG_FIRSTHDR(&mh);
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(m->fds_n * sizeof(int));
        memcpy(CMSG_DATA(cm), fds, m->fds_n * sizeof(int));
    }

    do {
        n = sendmsg(fd, &mh, MSG_DONTWAIT|MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);

    if (n == (ssize_t) sizeof(v2_msg_t)) {
        return V2_OK;
    }

    /* too many descriptors under way is a full queue, too */

    if (n == -1 && (errno == EAGAIN || errno == ENOBUFS
                    || errno == ETOOMANYREFS))
    {
        return V2_AGAIN;
    }

    if (n == -1 && (errno == EPIPE || errno == ECONNRESET)) {
        v2_log(V2_LOG_INFO, NULL, 0,
               "message %u was not sent, the other process has ended",
               m->type);
        return V2_ERROR;
    }

    v2_log(V2_LOG_ALERT, NULL, n == -1 ? errno : 0,
           "sendmsg() of message %u failed", m->type);

    return V2_ERROR;
}


v2_int_t
v2_channel_recv(int fd, v2_msg_t *m, int *fds)
{
    ssize_t           n;
    unsigned          i, fds_n;
    struct iovec      iov;
    struct msghdr     mh;
    v2_channel_ctl_t  ctl;

    iov.iov_base = m;
    iov.iov_len = sizeof(v2_msg_t);

    memset(&mh, 0, sizeof(struct msghdr));
    mh.msg_iov = &iov;
    mh.msg_iovlen = 1;
    mh.msg_control = ctl.space;
    mh.msg_controllen = sizeof(ctl.space);

    do {
        n = recvmsg(fd, &mh, MSG_DONTWAIT|MSG_CMSG_CLOEXEC);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        if (errno == EAGAIN) {
            return V2_AGAIN;
        }

        if (errno == ECONNRESET) {
            return V2_DONE;
        }

        v2_log(V2_LOG_ALERT, NULL, errno, "recvmsg() of a message failed");
        return V2_ERROR;
    }

    if (n == 0) {
        return V2_DONE;
    }

    fds_n = v2_channel_fds(&mh, fds);

    if (n != (ssize_t) sizeof(v2_msg_t)
        || (mh.msg_flags & (MSG_TRUNC|MSG_CTRUNC))
        || m->fds_n != fds_n)
    {
        v2_log(V2_LOG_ALERT, NULL, 0,
               "message of %zd bytes with %u descriptors is not valid", n,
               fds_n);

        for (i = 0; i < fds_n; i++) {
            (void) close(fds[i]);
        }

        return V2_ERROR;
    }

    m->text[sizeof(m->text) - 1] = '\0';

    return V2_OK;
}


static unsigned
v2_channel_fds(struct msghdr *mh, int *fds)
{
    size_t           size;
    unsigned         n;
    struct cmsghdr  *cm;

    n = 0;

    for (cm = CMSG_FIRSTHDR(mh); cm != NULL; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS) {
            continue;
        }

        size = cm->cmsg_len - CMSG_LEN(0);
        v2_assert(n == 0 && size <= V2_CHANNEL_FDS * sizeof(int));
        memcpy(fds, CMSG_DATA(cm), size);
        n = (unsigned) (size / sizeof(int));
    }

    return n;
}
