/* Buffers of one group that are lent to the kernel through a provided-buffer
 * ring. Part of the io_uring engine, included by v2_ring.c and v2_ring_bufs.c
 * only. */

#ifndef V2_RING_BUFS_H
#define V2_RING_BUFS_H

#include "v2_ring_int.h"

#include <liburing.h>

/* The kernel's name of a group. Linux 6.1 keeps the first 64 in an array and
 * does not forget how far it had read when a ring is unregistered; those
 * behind are made anew. */
#define v2_ring_bgid(group)     ((uint16_t) (64 + (group)))

typedef struct {
    struct io_uring           *uring;
    struct io_uring_buf_ring  *br;
    size_t                     br_size;
    uint32_t                   entries;
    uint8_t                   *given;   /* by buffer id: the kernel has it */
    uint32_t                   held;    /* buffers in the kernel's hands */
    uint32_t                   depth, depth_min, depth_max;
    uint32_t                   low;     /* fewest held since the last look */
    uint32_t                   missed;  /* ENOBUFS since the last refill */
    unsigned                   group;
    unsigned                   listed:1;    /* the kernel knows the ring */
    unsigned                   short_of:1;  /* ENOBUFS since the last look */
    unsigned                   taken:1;     /* one was used since then */
    v2_op_list_t               waiting;     /* receives that found none */
} v2_ring_bufs_t;

/* 0 or -errno; v2_ring_bufs_done() in both cases. */
int        v2_ring_bufs_init(v2_ring_bufs_t *g, struct io_uring *uring,
    unsigned group);
/* After io_uring_queue_exit(): all buffers come back. */
void       v2_ring_bufs_done(v2_ring_bufs_t *g);

/* Just before the kernel is entered: gives it what is missing to depth.
 * Returns how many of the waiting receives may be armed now. */
uint32_t   v2_ring_bufs_refill(v2_ring_bufs_t *g);
/* A few times a second: less depth where it was not needed. */
void       v2_ring_bufs_look(v2_ring_bufs_t *g);
/* The buffer that came with a completion, or NULL. */
v2_buf_t  *v2_ring_bufs_take(v2_ring_bufs_t *g, unsigned cqe_flags);

#endif
