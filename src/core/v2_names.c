/* The resolver's cache; see v2_names.h. Called by v2_resolve.c, from the loop
 * only.
 *
 * Invariants
 *  1. done() is called by v2_names_settle() alone. An asker may ask for the
 *     same name again inside it: it joins a queue only if a question was
 *     sent, which makes the family unknown and ends the loop.
 *  2. Whether an answer is fresh is looked at when a question would be asked;
 *     an answer that expired while its other half was on the way still holds
 *     for those who waited. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_flat.h"
#include "v2_time.h"
#include "v2_names.h"

#define V2_NAMES_EVICT      64          /* entries looked at for a free one */


static v2_name_t *v2_names_add(v2_names_t *names, const char *text,
    size_t len, uint32_t hash);
static v2_int_t v2_names_evict(v2_names_t *names);
static void v2_names_del(v2_name_t *e);
static void v2_names_settle_one(v2_name_t *e);


void
v2_names_init(v2_names_t *names, void (*on_wait)(v2_timer_t *t))
{
    memset(names, 0, sizeof(*names));
    v2_queue_init(&names->lru);
    v2_queue_init(&names->ready);
    names->on_wait = on_wait;
}


void
v2_names_done(v2_names_t *names)
{
    uint32_t           i;
    v2_name_t         *e;
    v2_resolve_req_t  *q;

    while (!v2_queue_empty(&names->lru)) {
        e = v2_queue_data(names->lru.next, v2_name_t, lru);

        for (i = 0; i < V2_NAMES_KINDS; i++) {
            while (!v2_queue_empty(&e->waiters[i])) {
                q = v2_queue_data(e->waiters[i].next, v2_resolve_req_t, wait);
                v2_names_leave(q);
            }
        }

        v2_names_del(e);
    }

    v2_assert(names->n == 0);
}


v2_int_t
v2_names_text(const char *name, char *text, size_t *len)
{
    char    c;
    size_t  i, n;

    n = strlen(name);

    if (n > 0 && name[n - 1] == '.') {
        n--;
    }

    if (n == 0 || n > V2_NAME_MAX) {
        return V2_ERROR;
    }

    for (i = 0; i < n; i++) {
        c = name[i];

        if (c >= 'A' && c <= 'Z') {
            c = (char) (c + ('a' - 'A'));
        }

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'
              || c == '_' || (c == '.' && i > 0 && text[i - 1] != '.')))
        {
            return V2_ERROR;
        }

        text[i] = c;
    }

    text[n] = '\0';
    *len = n;

    return V2_OK;
}


v2_name_t *
v2_names_get(v2_names_t *names, const char *text, size_t len)
{
    uint32_t    hash;
    v2_name_t  *e;

    hash = (uint32_t) v2_hash64(text, len, 0);
    e = names->buckets[hash & (V2_NAMES_BUCKETS - 1)];

    for ( /* void */ ; e != NULL; e = e->next) {
        if (e->hash == hash && strcmp(e->text, text) == 0) {
            v2_queue_del(&e->lru);
            v2_queue_add_tail(&names->lru, &e->lru);
            return e;
        }
    }

    if (names->n >= V2_NAMES_MAX && v2_names_evict(names) != V2_OK) {
        return NULL;
    }

    return v2_names_add(names, text, len, hash);
}


void
v2_names_ready(v2_name_t *e)
{
    if (v2_queue_empty(&e->ready)) {
        v2_queue_add_tail(&e->names->ready, &e->ready);
    }
}


/* Can an asker for this family be answered now? With one half good, the other
 * one gets V2_NAMES_WAIT_MS; a good AAAA is worth that only where IPv6 goes
 * out. */

int
v2_names_known(const v2_name_t *e, v2_family_e family)
{
    int               know4, know6;
    const v2_half_t  *a, *aaaa;

    a = &e->half[V2_HALF_A];
    aaaa = &e->half[V2_HALF_AAAA];

    know4 = a->state != V2_HALF_EMPTY && a->state != V2_HALF_ASKING;
    know6 = aaaa->state != V2_HALF_EMPTY && aaaa->state != V2_HALF_ASKING;

    switch (family) {

    case V2_FAMILY_4:
        return know4;

    case V2_FAMILY_6:
        return know6;

    case V2_FAMILY_46:
        return a->state == V2_HALF_GOOD || (know4 && know6);

    default:
        if (know4 && know6) {
            return 1;
        }

        return (a->state == V2_HALF_GOOD
                || (aaaa->state == V2_HALF_GOOD && e->names->six))
               && v2_now_ms() >= e->first_ms + V2_NAMES_WAIT_MS;
    }
}


void
v2_names_fill(const v2_name_t *e, v2_resolve_req_t *q, v2_family_e family)
{
    uint32_t          i, n;
    v2_addr_t         addrs[V2_RESOLVE_ADDRS * 2];
    const v2_half_t  *a, *aaaa, *h;

    a = &e->half[V2_HALF_A];
    aaaa = &e->half[V2_HALF_AAAA];
    memset(addrs, 0, sizeof(addrs));
    n = 0;

    for (i = 0; i < a->n; i++) {
        v2_addr_set(&addrs[n++], e->ip4[i], 4);
    }

    for (i = 0; i < aaaa->n; i++) {
        v2_addr_set(&addrs[n++], e->ip6[i], 16);
    }

    q->n = 0;
    v2_names_pick(e->names, q, addrs, n, family);

    if (q->n != 0) {
        q->why = NULL;
        return;
    }

    /* a failure says more than a missing record */

    h = family == V2_FAMILY_6 ? aaaa : a;

    if (family != V2_FAMILY_4 && h->state != V2_HALF_FAILED) {
        h = aaaa;
    }

    q->why = h->why != NULL ? h->why : "name has no address of the family";
}


void
v2_names_pick(const v2_names_t *names, v2_resolve_req_t *q,
    const v2_addr_t *addrs, uint32_t n, v2_family_e family)
{
    uint32_t   i, want, at[2], has[2];
    v2_addr_t  kind[2][V2_RESOLVE_ADDRS];

    has[0] = has[1] = 0;

    for (i = 0; i < n; i++) {
        want = addrs[i].family == 6;

        if (has[want] < V2_RESOLVE_ADDRS) {
            kind[want][has[want]++] = addrs[i];
        }
    }

    if (family == V2_FAMILY_6 || (family == V2_FAMILY_46 && has[0] == 0)) {
        has[0] = 0;
    }

    if (family == V2_FAMILY_4 || (family == V2_FAMILY_46 && has[0] != 0)) {
        has[1] = 0;
    }

    at[0] = at[1] = 0;
    want = names->six;

    for (i = 0; i < V2_RESOLVE_ADDRS; i++) {
        if (at[want] == has[want]) {
            want = !want;
        }

        if (at[want] == has[want]) {
            break;
        }

        q->addrs[q->n++] = kind[want][at[want]++];
        want = !want;
    }
}


void
v2_names_wait(v2_name_t *e, v2_resolve_req_t *q, v2_family_e family)
{
    v2_queue_add_tail(&e->waiters[family], (v2_queue_t *) (void *) q->wait);
    q->wait[2] = e;
}


void
v2_names_leave(v2_resolve_req_t *q)
{
    if (q->wait[2] != NULL) {
        v2_queue_del((v2_queue_t *) (void *) q->wait);
        q->wait[2] = NULL;
    }
}


void
v2_names_settle(v2_names_t *names)
{
    v2_name_t  *e;

    while (!v2_queue_empty(&names->ready)) {
        e = v2_queue_data(names->ready.next, v2_name_t, ready);
        v2_queue_del(&e->ready);

        e->busy = 1;
        v2_names_settle_one(e);
        e->busy = 0;
    }
}


static v2_name_t *
v2_names_add(v2_names_t *names, const char *text, size_t len, uint32_t hash)
{
    uint32_t     i;
    v2_name_t   *e, **bucket;

    e = calloc(1, sizeof(*e) + len + 1);

    if (e == NULL) {
        return NULL;
    }

    e->names = names;
    e->hash = hash;
    e->timer.fire = names->on_wait;
    memcpy(e->text, text, len + 1);

    for (i = 0; i < 2; i++) {
        e->half[i].name = e;
        e->half[i].six = i == V2_HALF_AAAA;
    }

    for (i = 0; i < V2_NAMES_KINDS; i++) {
        v2_queue_init(&e->waiters[i]);
    }

    v2_queue_init(&e->ready);
    v2_queue_add_tail(&names->lru, &e->lru);

    bucket = &names->buckets[hash & (V2_NAMES_BUCKETS - 1)];
    e->next = *bucket;
    *bucket = e;
    names->n++;

    return e;
}


static v2_int_t
v2_names_evict(v2_names_t *names)
{
    uint32_t     i, k;
    v2_name_t   *e;
    v2_queue_t  *l;

    l = names->lru.next;

    for (i = 0; i < V2_NAMES_EVICT && l != &names->lru; i++, l = l->next) {
        e = v2_queue_data(l, v2_name_t, lru);

        if (e->busy || !v2_queue_empty(&e->ready)
            || e->half[V2_HALF_A].state == V2_HALF_ASKING
            || e->half[V2_HALF_AAAA].state == V2_HALF_ASKING)
        {
            continue;
        }

        for (k = 0; k < V2_NAMES_KINDS; k++) {
            v2_assert(v2_queue_empty(&e->waiters[k]));
        }

        v2_names_del(e);

        return V2_OK;
    }

    return V2_ERROR;
}


static void
v2_names_del(v2_name_t *e)
{
    v2_name_t  **p;

    p = &e->names->buckets[e->hash & (V2_NAMES_BUCKETS - 1)];

    while (*p != e) {
        p = &(*p)->next;
    }

    *p = e->next;

    v2_queue_del(&e->lru);
    v2_queue_del(&e->ready);
    v2_timer_del(&e->timer);
    e->names->n--;
    free(e);
}


static void
v2_names_settle_one(v2_name_t *e)
{
    uint32_t           i;
    v2_queue_t        *l;
    v2_resolve_req_t  *q;

    for (i = 0; i < V2_NAMES_KINDS; i++) {
        while (!v2_queue_empty(&e->waiters[i])
               && v2_names_known(e, (v2_family_e) i))
        {
            l = e->waiters[i].next;
            q = v2_queue_data(l, v2_resolve_req_t, wait);

            v2_queue_del(l);
            q->wait[2] = NULL;
            v2_names_fill(e, q, (v2_family_e) i);
            q->done(q);
        }
    }

    if (!v2_queue_empty(&e->waiters[V2_FAMILY_ANY])
        && (e->half[V2_HALF_A].state == V2_HALF_GOOD
            || (e->half[V2_HALF_AAAA].state == V2_HALF_GOOD && e->names->six)))
    {
        (void) v2_timer_add(&e->timer, e->first_ms + V2_NAMES_WAIT_MS);
    }
}
