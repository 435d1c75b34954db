/* Sub-connections: sessions whose client side is a child of a mux layer in
 * another session (the parent). Everything above the base is the same code.
 *
 * Invariants
 *  1. A child uses its parent's row, and the parent lives until all its
 *     children are freed (they count in parent->conns).
 *  2. Payload going down is billed when the parent's socket took the frame
 *     (its bill travels with the slices); payload going up by the child.
 *  3. While a child holds bufferSize or more for its remote, the parent is not
 *     read: one frame stream has one flow control. */

#ifndef V2_CHILD_H
#define V2_CHILD_H

#include "v2_sess.h"

#define V2_CHILD_MAX        128         /* of one parent */

/* The parent's layers may emit again: pulls children's output while less than
 * bufferSize is queued. Called by the flush of the parent's client link. */
v2_int_t  v2_child_pull(v2_link_t *l, unsigned i);
/* How much of a child waits for its remote changed. */
void      v2_child_pressure(v2_sess_t *s);
/* The parent ends: all children end. */
void      v2_child_close_all(v2_sess_t *parent);
/* Child sessions that were opened this turn begin; those that were closed get
 * their on_dead. End of each turn. */
void      v2_child_turn(v2_worker_t *w);
void      v2_child_free(v2_sess_t *s);

#endif
