/* Reports: what is owed to the panel, in shared memory so that it survives
 * every process but the last. Panel process only (one writer).
 *
 *   owed = counted - settled;  batch amount = mark - settled
 *   NONE -> PREPARED (id and marks stored) -> SENDING (stored before the first
 *   byte goes out) -> NONE
 *
 * After a crash PREPARED is owed again, SENDING is unknown. Settling is the
 * assignment settled = mark and may be repeated. */

#ifndef V2_BILL_H
#define V2_BILL_H

#include "v2_shm.h"

typedef struct {
    uint64_t    user;           /* the panel's id */
    uint64_t    up, down;
} v2_bill_line_t;

/* each line of a batch, or of alive; owner is passed through */
typedef void (*v2_bill_pt)(void *owner, const v2_bill_line_t *line);

/* NONE -> PREPARED: takes marks of all accounts of the node that owe more than
 * min_bytes (up + down), and of closed ones that owe anything; with `all`, of
 * all that owe anything. Makes a fresh batch id (UUID text). Returns the
 * number of lines; 0: stays NONE. */
uint32_t  v2_bill_prepare(v2_shm_t *shm, uint32_t node, uint64_t min_bytes,
    int all);
/* The lines of the open batch. Entries of one user are one line. */
void      v2_bill_lines(v2_shm_t *shm, uint32_t node, v2_bill_pt line,
    void *owner);
void      v2_bill_sending(v2_shm_t *shm, uint32_t node);
/* Booked or unknown: settled = mark. -> NONE */
void      v2_bill_settle(v2_shm_t *shm, uint32_t node);
/* Not sent or refused: owed again. -> NONE */
void      v2_bill_release(v2_shm_t *shm, uint32_t node);
unsigned  v2_bill_state(const v2_shm_t *shm, uint32_t node);
const char *v2_bill_batch(const v2_shm_t *shm, uint32_t node);
/* Bytes owed by the node's accounts, both directions. */
uint64_t  v2_bill_owed(const v2_shm_t *shm, uint32_t node);

/* Users online: with an open flow now (rows of live workers) or traffic since
 * `since` (v2_now_s). addr is called for every distinct (user, address);
 * traffic: the user's bytes on this node not yet reported, for
 * DeviceOnlineMinTraffic. */
typedef void (*v2_alive_pt)(void *owner, uint64_t user, const v2_addr_t *ip,
    uint64_t traffic);
void      v2_bill_alive(v2_shm_t *shm, uint32_t node, uint32_t since,
    v2_alive_pt addr, void *owner);

#endif
