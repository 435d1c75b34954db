/* XUDP associations with a Global ID (protocols.md 8.4): when the client's
 * connection ends, the UDP socket waits a minute for a new one with the same
 * id, so that the outward port stays. One table per worker; a client that
 * comes back to another worker gets a new port. */

#ifndef V2_PARK_H
#define V2_PARK_H

#include "v2_sess.h"

/* The session's remote socket stays when its memory goes. Returns 1 and takes
 * s->remote away, or 0: it is closed as usual. */
int         v2_park_put(v2_sess_t *s);
/* The socket of this id, parked or of a session that goes on (which ends), or
 * NULL. Its handlers are the caller's to set. */
v2_link_t  *v2_park_take(v2_sess_t *s);
/* All parked sockets are closed. */
void        v2_park_close_all(v2_worker_t *w);

#endif
