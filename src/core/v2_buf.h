/* Counted buffers of one worker, and chains of slices of them. Single
 * threaded; state is static in v2_buf.c / v2_chain.c (one per process).
 *
 * Invariants
 *  1. A ring buffer (group HAND, SMALL or LARGE) is in transit only; what must
 *     stay goes to a MEM buffer cut to size (v2_chain_spill).
 *  2. Every ring buffer has V2_BUF_HEAD bytes before and V2_BUF_TAIL bytes
 *     behind the part that the kernel fills, for framing in place.
 *  3. The free list of a group is LIFO: warm buffers first.
 *  4. refs counts slices and holders; at 0 the buffer goes back by itself. */

#ifndef V2_BUF_H
#define V2_BUF_H

#include "v2_addr.h"

#define V2_BUF_HEAD         64
#define V2_BUF_TAIL         64

enum {
    V2_BUF_HAND,            /* handshakes: 2 KiB */
    V2_BUF_SMALL,           /* 16 KiB + 512, one whole TLS record */
    V2_BUF_LARGE,           /* 256 KiB */
    V2_BUF_GROUPS,
    V2_BUF_MEM = V2_BUF_GROUPS      /* malloc'd, counted in mem_bytes */
};

struct v2_buf_s {
    uint8_t     *data;      /* start of the memory, HEAD bytes included */
    uint32_t     size;      /* bytes at data, HEAD and TAIL included */
    uint32_t     refs;
    uint16_t     group;     /* V2_BUF_... */
    uint16_t     id;        /* number within its group */
    uint8_t      hot;       /* used since the last trim */
    uint8_t      clean;     /* its pages were dropped */
    v2_buf_t    *next;      /* free list */
    v2_addr_t    addr;      /* datagrams: the peer's address */
};

/* A run of bytes in one buffer.
 *
 * Billing travels with the bytes: `bill` payload bytes are counted for this
 * slice. linear: they are its last `bill` bytes, counted one by one as the
 * kernel takes them (before them stands framing that counts nothing).
 * Otherwise all of `bill` is counted when the kernel took the last byte
 * (a record, frame or datagram counts when it is whole). */
struct v2_slice_s {
    v2_slice_t       *next;
    v2_buf_t         *buf;          /* holds one reference */
    uint32_t          off, len;     /* bytes at buf->data + off */
    uint32_t          bill;
    unsigned          linear:1;
    unsigned          end:1;        /* a unit ends here: a datagram; a secure
                                     * layer closes its record */
    const v2_addr_t  *addr;         /* datagrams; lives in the buffer */
};

struct v2_chain_s {
    v2_slice_t       *head, *last;
    size_t            bytes;
    size_t            taken;        /* payload of bytes taken, see v2_link.c */
    unsigned          fin:1;        /* nothing follows this way */
};

#define v2_slice_data(s)    ((s)->buf->data + (s)->off)

/* --- buffers (v2_buf.c) --- */

typedef struct {
    uint32_t          size;         /* bytes the kernel may fill */
    uint32_t          count;        /* at most so many; made on first use */
} v2_buf_conf_t;

/* Reserves (does not touch) the memory of all groups. V2_OK or V2_ERROR. */
v2_int_t   v2_buf_init(const v2_buf_conf_t conf[V2_BUF_GROUPS]);
void       v2_buf_done(void);

v2_buf_t  *v2_buf_get(unsigned group);      /* refs 1, or NULL: none free */
v2_buf_t  *v2_buf_mem(size_t size);         /* refs 1; HEAD and TAIL added */
void       v2_buf_put(v2_buf_t *b);         /* drops one reference */
v2_buf_t  *v2_buf_by_id(unsigned group, unsigned id);
uint32_t   v2_buf_size(unsigned group);     /* bytes the kernel may fill */
uint32_t   v2_buf_free_n(unsigned group);   /* not in use, made or not */
uint32_t   v2_buf_count(unsigned group);
size_t     v2_buf_mem_bytes(void);          /* all MEM buffers alive */
/* Gives back to the kernel the pages of buffers which nobody used since the
 * last call. Once a second or so; cheap when there are none. */
void       v2_buf_trim(void);

/* For v2_chain.c: a run of fresh slices, linked by next, never freed. NULL: no
 * memory. */
v2_slice_t *v2_buf_slices(void);

/* --- chains (v2_chain.c); slices come from a free list of their own --- */

void       v2_chain_init(v2_chain_t *c);
void       v2_chain_free(v2_chain_t *c);    /* drops all slices */

/* Appends off/len of b; takes over one reference of b. The last slice is
 * extended instead when it ends exactly there in the same buffer, has no end
 * or addr, and stays linear (it bills nothing, or all of the new bytes are
 * billed): so add to the bill of what is returned, do not set it.
 * linear payload of `bill` bytes (0..len). NULL: no memory, reference kept. */
v2_slice_t *v2_chain_add(v2_chain_t *c, v2_buf_t *b, uint32_t off,
    uint32_t len, uint32_t bill);
/* Moves all slices (and taken, fin) of src to the end of dst. */
void       v2_chain_move(v2_chain_t *dst, v2_chain_t *src);
/* Moves the first n bytes; splits a slice by a new reference. Bills follow:
 * a linear bill is split exactly, another stays with the later part.
 * n = 0 moves one empty slice at the head, if there is one (an empty
 * datagram). n <= src->bytes. V2_ERROR: no memory, nothing moved. */
v2_int_t   v2_chain_move_n(v2_chain_t *dst, v2_chain_t *src, size_t n);
/* Drops the first n bytes; returns the payload billed by them (a linear bill
 * by bytes, another when its slice ended) and adds it to c->taken. n = 0
 * drops one empty slice at the head, if there is one. */
size_t     v2_chain_take(v2_chain_t *c, size_t n);
/* Copies the first n bytes without taking them; returns how many there were. */
size_t     v2_chain_peek(const v2_chain_t *c, void *out, size_t n);
/* Makes the first n bytes (n <= c->bytes) contiguous in the first slice, with
 * a copy into one buffer only if they are not already. Bills that cannot
 * stay linear in one slice are counted when its last byte is taken. NULL: no
 * buffer, or the chain is empty. */
uint8_t   *v2_chain_pull(v2_chain_t *c, size_t n);
/* Copies bytes to the end of the chain into a new or the last MEM/ring
 * buffer; bill 0. V2_ERROR: no memory. */
v2_int_t   v2_chain_copy(v2_chain_t *c, const void *data, size_t len);
/* Replaces every slice in ring buffers by MEM memory cut to size; bills and
 * order stay. Never while the kernel sends from the chain. V2_ERROR: no
 * memory, chain unchanged. */
v2_int_t   v2_chain_spill(v2_chain_t *c);

#endif
