/* System calls on file descriptors which never block, for the readiness
 * engine (core, engine part). They know no ring and no op: a descriptor goes
 * in, a result or -errno comes out.
 *
 * Invariants
 *  1. No call sleeps, whatever mode the descriptor is in: sockets are called
 *     with MSG_DONTWAIT, others only after poll(2) said yes.
 *  2. EINTR is never returned.
 *  3. -EAGAIN means: nothing was moved, wait for the next edge. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_ring.h"
#include "v2_ring_int.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>


void
v2_io_nonblock(int fd)
{
    int  flags;

    flags = fcntl(fd, F_GETFL);

    if (flags != -1 && !(flags & O_NONBLOCK)) {
        (void) fcntl(fd, F_SETFL, flags|O_NONBLOCK);
    }
}


int
v2_io_connected(int fd)
{
    int        err;
    socklen_t  len;

    len = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        return -errno;
    }

    return -err;
}


int
v2_io_recv(int fd, v2_buf_t *b)
{
    ssize_t  n;

    do {
        n = recv(fd, b->data + V2_BUF_HEAD, v2_buf_size(b->group),
                 MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);

    return n == -1 ? -errno : (int) n;
}


int
v2_io_recvmsg(int fd, v2_buf_t *b, v2_ring_msg_t *m, unsigned *flags)
{
    ssize_t  n;

    do {
        memset(&m->hdr, 0, sizeof(struct msghdr));
        m->iov[0].iov_base = b->data + V2_BUF_HEAD;
        m->iov[0].iov_len = v2_buf_size(b->group);
        m->hdr.msg_iov = m->iov;
        m->hdr.msg_iovlen = 1;
        m->hdr.msg_name = &m->ss;
        m->hdr.msg_namelen = sizeof(struct sockaddr_storage);

        n = recvmsg(fd, &m->hdr, MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);

    if (n == -1) {
        return -errno;
    }

    *flags = V2_CQE_DATAGRAM;

    if (m->hdr.msg_flags & MSG_TRUNC) {
        *flags |= V2_CQE_TRUNC;
    }

    v2_ring_from(&b->addr, &m->hdr);

    return (int) n;
}


int
v2_io_sendmsg(int fd, const struct msghdr *hdr)
{
    ssize_t  n;

    do {
        n = sendmsg(fd, hdr, MSG_NOSIGNAL|MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);

    return n == -1 ? -errno : (int) n;
}


/* The descriptor may be in blocking mode, and it is not ours to change: others
 * have it open. A pipe or terminal that is writable takes PIPE_BUF bytes
 * without blocking. */

int
v2_io_write(int fd, const void *data, uint32_t len)
{
    ssize_t        n;
    struct pollfd  pfd;

    n = send(fd, data, len, MSG_NOSIGNAL|MSG_DONTWAIT);

    if (n == -1 && errno == ENOTSOCK) {
        pfd.fd = fd;
        pfd.events = POLLOUT;
        pfd.revents = 0;

        if (poll(&pfd, 1, 0) == 0) {
            return -EAGAIN;
        }

        do {
            n = write(fd, data, v2_min(len, (uint32_t) PIPE_BUF));
        } while (n == -1 && errno == EINTR);
    }

    return n == -1 ? -errno : (int) n;
}
