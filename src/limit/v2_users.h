/* The writer side of users, accounts and keys: runs in the panel process
 * only, which holds StateDir/lock, so there is one writer. */

#ifndef V2_USERS_H
#define V2_USERS_H

#include "v2_codec.h"
#include "v2_shm.h"

typedef struct v2_users_s  v2_users_t;

/* One entry of a panel's list. */
typedef struct {
    uint64_t    id;
    uint64_t    uuid_hash;      /* v2_hash64 of the text; equal = unchanged */
    v2_cred_t   cred;           /* from the codec's index() */
    uint64_t    rate;           /* bytes/s; 0 unlimited */
    uint32_t    device_limit, conn_limit;
} v2_users_item_t;

typedef struct {
    uint32_t    total, added, removed, changed, same;
    uint32_t    refused;        /* same credential as another user's */
} v2_users_stat_t;

/* Starts with a sweep of half-filled records, and finds again what a panel
 * process that died had built. NULL: logged. */
v2_users_t  *v2_users_open(v2_shm_t *shm);
void         v2_users_close(v2_users_t *us);

/* Finds or takes the node slot for this identity (hash of panel and node id)
 * at number `slot`; a slot that belonged to another node is emptied first
 * (its accounts closed). V2_OK; V2_AGAIN: the old one still has something owed
 * or live, try later. */
v2_int_t     v2_users_node(v2_users_t *us, uint32_t slot, uint64_t identity,
    uint32_t node_id);
/* The node left the config: all its accounts are closed; they are freed once
 * nothing is live and nothing is owed. */
void         v2_users_node_close(v2_users_t *us, uint32_t slot);

/* A whole list replaces the node's users: begin, put each, commit. Until the
 * commit nothing is visible to workers except new keys one by one; users who
 * were not put are removed by it (key gone, flows told to close through
 * shm->cut). A put with known id and equal content costs one look-up.
 * One list is open at a time; begin and put answer V2_OK or V2_ERROR (not
 * taken slot; no room: logged, and a user who was there stays as he was).
 * A credential that another account still has is decided by the commit, when
 * the others are gone: granted, or refused (logged once). Of two entries with
 * one id the first holds. */
v2_int_t     v2_users_begin(v2_users_t *us, uint32_t slot, uint32_t panel);
v2_int_t     v2_users_put(v2_users_t *us, const v2_users_item_t *item);
void         v2_users_commit(v2_users_t *us, v2_users_stat_t *stat);
/* Forgets what was put since begin (the list broke off): nobody is removed. */
void         v2_users_abort(v2_users_t *us);

/* Each second: frees what grace, live counts and owed bytes allow; builds the
 * next index table at 70 %. */
void         v2_users_sweep(v2_users_t *us);

#endif
