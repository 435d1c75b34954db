/* The writer of users: node slots, and lists that replace a node's users. Runs
 * in the panel process; v2_users_rec.c keeps the records.
 *
 * A list is begin, put for each entry, commit. What an entry asks for is done
 * by its put, since each entry is true by itself; only what needs the whole
 * list waits for the commit:
 *   removing    who was not put;
 *   late items  a credential that another account still has. It may be free
 *               after the commit (a user made anew under another id, two users
 *               who changed places); if not, the item is refused, and its user
 *               can log in with nothing.
 *
 * Invariants
 *  1. An account is LIVE while the last whole list named it, with a key or,
 *     when it was refused or has no credential here, without.
 *  2. Every way out of a list (commit, abort, death) lets workers know of the
 *     keys taken away by then: v2_rec_publish, or the next v2_users_open. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_users.h"
#include "v2_users_rec.h"
#include "v2_log.h"

static int v2_users_same_key(v2_users_t *us, uint32_t i,
    const v2_users_item_t *item);
static v2_int_t v2_users_put_new(v2_users_t *us, const v2_users_item_t *item);
static int v2_users_taken(v2_users_t *us, const v2_cred_t *cred);
static v2_int_t v2_users_put_late(v2_users_t *us, uint32_t account,
    const v2_users_item_t *item);
static void v2_users_list(v2_users_t *us, uint32_t i);
static void v2_users_remove(v2_users_t *us);
static void v2_users_commit_late(v2_users_t *us);
static void v2_users_late_item(v2_users_t *us, const v2_users_late_t *late);
static void v2_users_refuse(v2_users_t *us, uint32_t i,
    const v2_users_item_t *item);
static void v2_users_end(v2_users_t *us);


v2_users_t *
v2_users_open(v2_shm_t *shm)
{
    v2_users_t  *us;

    us = calloc(1, sizeof(*us));
    if (us == NULL) {
        v2_log(V2_LOG_ERR, NULL, errno, "no memory for users");
        return NULL;
    }

    us->shm = shm;

    if (v2_map_init(&us->accounts) != V2_OK
        || v2_map_init(&us->users) != V2_OK
        || v2_rec_open(us) != V2_OK)
    {
        v2_users_close(us);
        return NULL;
    }

    v2_rec_sweep(us);

    return us;
}


void
v2_users_close(v2_users_t *us)
{
    v2_map_done(&us->accounts);
    v2_map_done(&us->users);
    free(us->late);
    free(us);
}


v2_int_t
v2_users_node(v2_users_t *us, uint32_t slot, uint64_t identity,
    uint32_t node_id)
{
    uint32_t        state;
    v2_shm_node_t  *node;

    v2_assert(slot < V2_SHM_NODES);

    node = &us->shm->nodes[slot];
    state = atomic_load(&node->state);

    if (node->name_hash == identity && state != V2_REC_FREE) {
        node->node_id = node_id;

        if (state == V2_REC_CLOSING) {
            atomic_store(&node->state, V2_REC_FILLING);
        }

        return V2_OK;
    }

    if (state == V2_REC_LIVE || state == V2_REC_FILLING) {
        v2_users_node_close(us, slot);
    }

    if (us->node_n[slot] != 0) {
        return V2_AGAIN;
    }

    atomic_store(&node->state, V2_REC_FREE);
    atomic_store(&node->report, V2_REPORT_NONE);
    atomic_store(&node->stranger_up, 0);
    atomic_store(&node->stranger_down, 0);
    memset(node->batch, 0, sizeof(node->batch));
    node->name_hash = identity;
    node->node_id = node_id;
    atomic_store(&node->state, V2_REC_FILLING);

    return V2_OK;
}


void
v2_users_node_close(v2_users_t *us, uint32_t slot)
{
    uint32_t       i, n;
    v2_account_t  *a;

    v2_assert(slot < V2_SHM_NODES);

    if (us->open && us->slot == slot) {
        v2_users_abort(us);
    }

    if (atomic_load(&us->shm->nodes[slot].state) == V2_REC_FREE) {
        return;
    }

    atomic_store(&us->shm->nodes[slot].state, V2_REC_CLOSING);
    n = atomic_load(&us->shm->accounts_n);

    for (i = 0; i < n && us->node_live[slot] != 0; i++) {
        a = v2_rec_account(us, i);

        if (a->node == slot && atomic_load(&a->state) == V2_REC_LIVE) {
            v2_rec_close(us, i);
        }
    }

    v2_rec_publish(us);
}


v2_int_t
v2_users_begin(v2_users_t *us, uint32_t slot, uint32_t panel)
{
    uint32_t  state;

    v2_assert(slot < V2_SHM_NODES && !us->open);

    state = atomic_load(&us->shm->nodes[slot].state);

    if (us->open || (state != V2_REC_LIVE && state != V2_REC_FILLING)) {
        v2_log(V2_LOG_ALERT, NULL, 0, "users for node slot %u, which is not "
               "open or has a list already", slot);
        return V2_ERROR;
    }

    if (++us->list == 0) {
        us->list = 1;
    }

    us->open = 1;
    us->slot = slot;
    us->panel = panel;
    us->listed = 0;
    memset(&us->stat, 0, sizeof(us->stat));

    return V2_OK;
}


v2_int_t
v2_users_put(v2_users_t *us, const v2_users_item_t *item)
{
    int            changed, closed;
    uint32_t       i;
    v2_account_t  *a;

    v2_assert(us->open && item->cred.len <= V2_CRED_MAX);

    if (!us->open || item->cred.len > V2_CRED_MAX) {
        return V2_ERROR;
    }

    us->stat.total++;
    i = v2_rec_find(us, us->slot, item->id);

    if (i == V2_NONE) {
        return v2_users_put_new(us, item);
    }

    a = v2_rec_account(us, i);

    if (a->list == us->list) {
        v2_users_refuse(us, i, item);
        return V2_OK;
    }

    closed = atomic_load(&a->state) == V2_REC_CLOSING;
    changed = v2_rec_limits(us, i, item);

    if (!closed && v2_users_same_key(us, i, item)) {
        a->uuid_hash = item->uuid_hash;
        v2_users_list(us, i);
        us->stat.changed += changed != 0;
        us->stat.same += changed == 0;
        return V2_OK;
    }

    if (v2_users_taken(us, &item->cred)) {
        return v2_users_put_late(us, i, item);
    }

    if (v2_rec_key(us, i, item) != V2_OK) {
        v2_users_list(us, i);
        return V2_ERROR;
    }

    v2_users_list(us, i);
    us->stat.added += closed != 0;
    us->stat.changed += closed == 0;

    return V2_OK;
}


void
v2_users_commit(v2_users_t *us, v2_users_stat_t *stat)
{
    v2_assert(us->open);

    v2_users_remove(us);
    v2_users_commit_late(us);

    atomic_store(&us->shm->nodes[us->slot].state, V2_REC_LIVE);

    *stat = us->stat;
    v2_users_end(us);
}


void
v2_users_abort(v2_users_t *us)
{
    v2_users_end(us);
}


void
v2_users_sweep(v2_users_t *us)
{
    v2_rec_sweep(us);
}


static int
v2_users_same_key(v2_users_t *us, uint32_t i, const v2_users_item_t *item)
{
    uint32_t         k;
    const v2_key_t  *key;

    k = v2_rec_account(us, i)->key;

    if (k == V2_NONE) {
        return item->cred.len == 0;
    }

    key = v2_shm_key(us->shm, k);

    return key->len == item->cred.len
           && memcmp(key->cred, item->cred.bytes, key->len) == 0;
}


static v2_int_t
v2_users_put_new(v2_users_t *us, const v2_users_item_t *item)
{
    uint32_t  i;

    if (v2_users_taken(us, &item->cred)) {
        return v2_users_put_late(us, V2_NONE, item);
    }

    i = v2_rec_add(us, us->slot, us->panel, item);
    if (i == V2_NONE) {
        return V2_ERROR;
    }

    (void) v2_rec_limits(us, i, item);

    if (v2_rec_key(us, i, item) != V2_OK) {
        v2_rec_close(us, i);
        return V2_ERROR;
    }

    v2_users_list(us, i);
    us->stat.added++;

    return V2_OK;
}


static int
v2_users_taken(v2_users_t *us, const v2_cred_t *cred)
{
    return cred->len != 0
           && v2_index_find(us->shm, us->slot, cred->bytes, cred->len)
              != V2_NONE;
}


static v2_int_t
v2_users_put_late(v2_users_t *us, uint32_t account,
    const v2_users_item_t *item)
{
    uint32_t          cap;
    v2_account_t     *a;
    v2_users_late_t  *late;

    if (us->late_n == us->late_cap) {
        cap = us->late_cap ? us->late_cap * 2 : 64;
        late = realloc(us->late, cap * sizeof(*late));

        if (late == NULL) {
            v2_log(V2_LOG_ERR, NULL, errno, "no memory for %u users whose "
                   "credentials change hands", cap);
            return V2_ERROR;
        }

        us->late = late;
        us->late_cap = cap;
    }

    late = &us->late[us->late_n++];
    late->item = *item;
    late->account = account;
    late->closed = 0;

    if (account != V2_NONE) {
        a = v2_rec_account(us, account);

        /* LIVE from now on: no sweep before the commit may free it */

        if (atomic_load(&a->state) == V2_REC_CLOSING) {
            late->closed = 1;
            v2_rec_revive(us, account);
        }

        v2_users_list(us, account);
    }

    return V2_OK;
}


static void
v2_users_list(v2_users_t *us, uint32_t i)
{
    v2_account_t  *a;

    a = v2_rec_account(us, i);

    a->list = us->list;
    us->listed += atomic_load(&a->state) == V2_REC_LIVE;
}


static void
v2_users_remove(v2_users_t *us)
{
    uint32_t       i, n;
    v2_account_t  *a;

    n = atomic_load(&us->shm->accounts_n);

    for (i = 0; i < n && us->node_live[us->slot] != us->listed; i++) {
        a = v2_rec_account(us, i);

        if (a->node == us->slot && a->list != us->list
            && atomic_load(&a->state) == V2_REC_LIVE)
        {
            v2_rec_close(us, i);
            us->stat.removed++;
        }
    }
}


/* First every late account gives its old credential away, so that those who
 * swap find what they want. */

static void
v2_users_commit_late(v2_users_t *us)
{
    uint32_t  n;

    for (n = 0; n < us->late_n; n++) {
        if (us->late[n].account != V2_NONE) {
            v2_rec_drop_key(us, us->late[n].account);
        }
    }

    for (n = 0; n < us->late_n; n++) {
        v2_users_late_item(us, &us->late[n]);
    }
}


static void
v2_users_late_item(v2_users_t *us, const v2_users_late_t *late)
{
    uint32_t                i;
    const v2_users_item_t  *item = &late->item;

    i = late->account;

    if (i == V2_NONE) {
        i = v2_rec_find(us, us->slot, item->id);

        if (i != V2_NONE) {
            v2_users_refuse(us, i, item);
            return;
        }

        i = v2_rec_add(us, us->slot, us->panel, item);

        if (i == V2_NONE) {
            return;
        }

        v2_users_list(us, i);
        (void) v2_rec_limits(us, i, item);
    }

    if (v2_users_taken(us, &item->cred)) {
        v2_users_refuse(us, i, item);
        v2_rec_account(us, i)->uuid_hash = item->uuid_hash;
        return;
    }

    if (v2_rec_key(us, i, item) == V2_OK) {
        us->stat.added += late->account == V2_NONE || late->closed;
        us->stat.changed += late->account != V2_NONE && !late->closed;
    }
}


/* The account's hash remembers what was refused the last time, so that a list
 * that stays as it is says so once. */

static void
v2_users_refuse(v2_users_t *us, uint32_t i, const v2_users_item_t *item)
{
    v2_account_t  *a;

    us->stat.refused++;
    a = v2_rec_account(us, i);

    if (a->uuid_hash != item->uuid_hash) {
        v2_log(V2_LOG_WARN, NULL, 0, "user %" PRIu64 " of node %u is refused: "
               "the panel gave this credential to another user too, or named "
               "the user twice", item->id,
               us->shm->nodes[us->slot].node_id);
    }
}


static void
v2_users_end(v2_users_t *us)
{
    us->open = 0;

    free(us->late);
    us->late = NULL;
    us->late_n = 0;
    us->late_cap = 0;

    v2_rec_publish(us);
}
