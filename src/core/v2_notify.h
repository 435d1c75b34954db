/* Messages to the service manager that started us (the sd_notify protocol, a
 * datagram to $NOTIFY_SOCKET), without its library. Master only. */

#ifndef V2_NOTIFY_H
#define V2_NOTIFY_H

typedef enum {
    V2_NOTIFY_READY, V2_NOTIFY_RELOADING, V2_NOTIFY_STOPPING
} v2_notify_e;

/* Says the state and the pid of the caller. Nothing is done without the
 * variable; a failure is logged. */
void  v2_notify_send(v2_notify_e what);

#endif
