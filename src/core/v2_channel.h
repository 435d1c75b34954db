/* Messages between the master and its children: fixed structs on a
 * SOCK_SEQPACKET socketpair, with at most V2_CHANNEL_FDS descriptors. */

#ifndef V2_CHANNEL_H
#define V2_CHANNEL_H

#define V2_CHANNEL_FDS      8

typedef enum {
    /* master -> worker */
    V2_MSG_IMAGE = 1,       /* fd: image; arg: serial */
    V2_MSG_LISTEN,      /* fd: listener; node; arg: its j; arg2: UDP */
    V2_MSG_UNLISTEN,        /* node, arg: j: stop serving, close your copy */
    V2_MSG_COMMIT,          /* arg: serial: new sessions use it now */
    V2_MSG_DROP,            /* arg: serial: forget it */
    V2_MSG_LOG,             /* fds: log, access log */
    V2_MSG_QUIT,            /* drain, arg: seconds or 0 */
    V2_MSG_STOP,            /* end at once */
    /* worker -> master */
    V2_MSG_READY,           /* arg: serial */
    V2_MSG_FAILED,          /* arg: serial, text: why */
    /* panel process -> master */
    V2_MSG_SPEC,            /* fd: node spec; node */
    V2_MSG_NODE_DOWN,       /* node: close it (not in the config any more) */
    /* master -> panel process */
    V2_MSG_CONF,            /* fd: config dump */
    V2_MSG_NODE_FAILED,     /* node, text: the image was refused */
    V2_MSG_NODE_OPEN        /* node: it serves */
} v2_msg_e;

typedef struct {
    uint32_t    type, node, arg, arg2;
    uint32_t    fds_n;
    char        text[236];
} v2_msg_t;

/* V2_OK, V2_AGAIN (queue full), V2_ERROR (gone; logged). The fds stay the
 * sender's. */
v2_int_t  v2_channel_send(int fd, const v2_msg_t *m, const int *fds);
/* V2_OK with fds[0..m->fds_n-1] owned by the caller; V2_AGAIN: nothing there;
 * V2_DONE: the other end closed; V2_ERROR. */
v2_int_t  v2_channel_recv(int fd, v2_msg_t *m, int *fds);

#endif
