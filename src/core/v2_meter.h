/* What core asks the limit room about users: who is this, may he open a flow,
 * and the counting of payload. Filled by src/limit/v2_meter.c. All calls are
 * of one worker; none blocks. w is its row block (proc->worker). */

#ifndef V2_METER_H
#define V2_METER_H

#include "v2_shm.h"

struct v2_meter_s {
    /* The live key of a credential on a node slot: its number, account and
     * generation. V2_OK, or V2_DECLINED. account and gen may be kept for a
     * later admit, the key and what it points to for this turn only. */
    v2_int_t  (*find)(v2_shm_t *shm, uint32_t node, const uint8_t *cred,
                  unsigned len, uint32_t *key, uint32_t *account,
                  uint32_t *gen);
    /* Opens a flow: takes a row of worker w, live++. V2_OK with *row, or
     * V2_DECLINED with a static text in *why (limit reached, user removed
     * meanwhile, rows full). */
    v2_int_t  (*admit)(v2_shm_t *shm, unsigned w, uint32_t account,
                  uint32_t gen, const v2_addr_t *addr, int udp,
                  uint32_t *row, const char **why);
    /* n payload bytes were moved; way 0 up, 1 down. */
    void      (*count)(v2_shm_t *shm, unsigned w, uint32_t row, unsigned way,
                  uint64_t n);
    /* How long this direction must wait before it may read again: 0 or ns.
     * Asked again after the wait, and at least once a second within it: a
     * new rate acts at once. */
    uint64_t  (*pause)(v2_shm_t *shm, unsigned w, uint32_t row, unsigned way);
    /* Must this flow be closed (user removed, his credential changed)? It
     * counts until it is. */
    int       (*stale)(v2_shm_t *shm, unsigned w, uint32_t row);
    void      (*leave)(v2_shm_t *shm, unsigned w, uint32_t row);
};

extern const v2_meter_t v2_meter;

#endif
