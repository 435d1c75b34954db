/* An intrusive doubly linked list with a sentinel. */

#ifndef V2_QUEUE_H
#define V2_QUEUE_H

struct v2_queue_s {
    v2_queue_t  *prev, *next;
};

static inline void
v2_queue_init(v2_queue_t *q)
{
    q->prev = q->next = q;
}

static inline int
v2_queue_empty(const v2_queue_t *q)
{
    return q->next == q;
}

static inline void
v2_queue_add_tail(v2_queue_t *q, v2_queue_t *x)
{
    x->prev = q->prev;
    x->next = q;
    x->prev->next = x;
    q->prev = x;
}

/* Idempotent: the element points to itself afterwards. */
static inline void
v2_queue_del(v2_queue_t *x)
{
    x->next->prev = x->prev;
    x->prev->next = x->next;
    x->prev = x->next = x;
}

#define v2_queue_data(q, type, field)   v2_containerof(q, type, field)

#endif
