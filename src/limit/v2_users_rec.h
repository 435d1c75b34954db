/* The records of users, accounts and keys, for the writer only: v2_users.c
 * decides what there is, v2_users_rec.c takes, fills, closes and frees. */

#ifndef V2_USERS_REC_H
#define V2_USERS_REC_H

#include "v2_users.h"
#include "v2_users_index.h"
#include "v2_users_map.h"

/* The parts of an item that found no place while the list came in. */
typedef struct {
    v2_users_item_t   item;
    uint32_t          account;      /* V2_NONE: not known before this list */
    unsigned          closed:1;     /* it was being removed */
} v2_users_late_t;

struct v2_users_s {
    v2_shm_t         *shm;
    v2_index_t        index;
    v2_map_t          accounts;     /* (node, id) */
    v2_map_t          users;        /* (panel, id) */

    uint32_t          free_users, free_accounts, free_keys;     /* + 1 */
    uint32_t          closing_accounts, closing_keys;           /* + 1 */
    unsigned          epoch_due:1;  /* something waits for the next epoch */
    unsigned          cut_due:1;    /* flows must be told to close */

    uint32_t          node_n[V2_SHM_NODES];     /* accounts, also closing */
    uint32_t          node_live[V2_SHM_NODES];  /* LIVE ones */

    /* the open list */
    unsigned          open:1;
    uint32_t          slot, panel;
    uint32_t          list;         /* its serial number, never 0 */
    uint32_t          listed;       /* LIVE accounts that it has named */
    v2_users_stat_t   stat;
    v2_users_late_t  *late;
    uint32_t          late_n, late_cap;
};

/* Numbers come from shared memory, where any process can write nonsense: they
 * are cut to the range, so that nonsense stays nonsense. */
#define v2_rec_user(us, n) \
    v2_shm_user((us)->shm, (n) & (V2_SHM_USERS - 1))
#define v2_rec_account(us, n) \
    v2_shm_account((us)->shm, (n) & (V2_SHM_ACCOUNTS - 1))
#define v2_rec_node(a)      ((a)->node & (V2_SHM_NODES - 1))
#define v2_rec_link(n, max) (((n) - 1) & ((max) - 1))

/* Repairs and counts what is in shared memory, fills maps and lists. */
v2_int_t  v2_rec_open(v2_users_t *us);

/* The account of (node slot, id), or V2_NONE. */
uint32_t  v2_rec_find(v2_users_t *us, uint32_t node, uint64_t id);

/* A new LIVE account without a key for the item. V2_NONE: no room (logged),
 * nothing changed. */
uint32_t  v2_rec_add(v2_users_t *us, uint32_t node, uint32_t panel,
    const v2_users_item_t *item);

/* Gives account i the credential of the item in place of what it had (length
 * 0: none), and makes it LIVE; nobody else has that credential. V2_ERROR: no
 * room (logged); the account is as before. */
v2_int_t  v2_rec_key(v2_users_t *us, uint32_t i, const v2_users_item_t *item);

/* A CLOSING account is LIVE again, without a key. */
void      v2_rec_revive(v2_users_t *us, uint32_t i);

/* Takes the key away, so that flows opened with it end. */
void      v2_rec_drop_key(v2_users_t *us, uint32_t i);

/* Removes account i: no key, CLOSING, freed by a sweep. */
void      v2_rec_close(v2_users_t *us, uint32_t i);

/* Limits of an item; 1 if one changed. They act at once. */
int       v2_rec_limits(v2_users_t *us, uint32_t i,
    const v2_users_item_t *item);

/* Makes workers see what was closed: cut, and a new epoch. */
void      v2_rec_publish(v2_users_t *us);

/* Frees what waited long enough. */
void      v2_rec_sweep(v2_users_t *us);

#endif
