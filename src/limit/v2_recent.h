/* Addresses whose flows have closed, so that a report of who was online names
 * them too. One ring for each worker, in its row block. */

#ifndef V2_RECENT_H
#define V2_RECENT_H

#include "v2_shm.h"

/* An entry older than this many seconds may be overwritten while the ring
 * could still grow: the longest report interval, twice. */
#define V2_RECENT_KEEP      7200

/* The worker of `rows`: `addr` carried traffic of the account, last at second
 * `last`; now is v2_now_s. The entry of the same account and address is used
 * again, so the ring holds as many entries as there are different ones. */
void  v2_recent_add(v2_shm_rows_t *rows, const v2_shm_recent_t *entry,
    uint32_t now);

/* Any process: a copy of each whole entry with traffic at `since` or later.
 * What the worker writes meanwhile may be missed. */
typedef void (*v2_recent_pt)(void *owner, const v2_shm_recent_t *entry);
void  v2_recent_each(const v2_shm_rows_t *rows, uint32_t since,
    v2_recent_pt each, void *owner);

#endif
