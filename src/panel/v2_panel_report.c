/* Reports of a node: traffic that is owed, then who is online.
 *
 *   owed -> prepare -> SENDING -> answer: booked, unknown   settle
 *                                         refused, unsent   release (owed)
 *
 * Invariants
 *  1. SENDING is in shared memory before the first byte goes out.
 *  2. A batch is settled once: when it is booked, or when it may have been
 *     and is therefore kept aside. It is released only when the panel cannot
 *     have booked it. So no byte is billed twice.
 *  3. Who is online is asked before the batch is taken: the least traffic of
 *     DeviceOnlineMinTraffic is that of the period. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_bill.h"
#include "v2_time.h"
#include "v2_panel_json.h"
#include "v2_panel_lines.h"
#include "v2_panel_node.h"

#define V2_REPORT_KB        1024    /* of ReportMinTraffic */
#define V2_REPORT_ONLINE_KB 1000    /* of DeviceOnlineMinTraffic */


static v2_outcome_e v2_report_success(const v2_answer_t *a);
static void v2_report_recover(v2_pnode_t *n);
static void v2_report_online(v2_pnode_t *n);
static void v2_report_push(v2_pnode_t *n);
static void v2_report_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len);
static void v2_report_pushed(v2_pnode_t *n, const v2_answer_t *a);
static void v2_report_next(v2_pnode_t *n);
static void v2_report_alive_done(v2_pnode_t *n, const v2_answer_t *a);


v2_outcome_e
v2_report_outcome(const v2_answer_t *a, int aside_errors)
{
    if (a->status == 0) {
        return a->sent ? V2_OUTCOME_UNKNOWN : V2_OUTCOME_UNSENT;
    }

    if (a->status < 300) {
        return v2_report_success(a);
    }

    if (a->status < 500) {
        return V2_OUTCOME_REFUSED;
    }

    if (a->status <= 503) {
        return aside_errors ? V2_OUTCOME_UNKNOWN : V2_OUTCOME_REFUSED;
    }

    return V2_OUTCOME_UNKNOWN;
}


void
v2_report_start(v2_pnode_t *n, int all, int alive)
{
    uint64_t  min_bytes;

    if (n->reporting || n->api == NULL || n->slot == V2_NONE) {
        return;
    }

    v2_report_recover(n);

    if (alive) {
        v2_report_online(n);
    }

    n->reporting = 1;
    min_bytes = (uint64_t) n->conf.report_min_kb * V2_REPORT_KB;

    if (v2_bill_prepare(n->ctx->shm, n->slot, min_bytes, all) != 0) {
        v2_report_push(n);

    } else if (alive && n->api->push_empty) {
        v2_report_post(n, V2_ACT_PUSH, NULL, "{}", 2);

    } else {
        v2_report_next(n);
    }
}


void
v2_report_on_answer(void *owner, v2_answer_t *a)
{
    v2_pnode_t  *n = owner;

    if (n->report_act == V2_ACT_ALIVE) {
        v2_report_alive_done(n, a);
        return;
    }

    v2_report_pushed(n, a);
    v2_report_next(n);
}


void
v2_report_end(v2_pnode_t *n)
{
    if (n->slot == V2_NONE) {
        return;
    }

    v2_report_recover(n);

    if (v2_bill_prepare(n->ctx->shm, n->slot, 0, 1) != 0) {
        v2_aside_write(n->ctx, n, n->slot, "it could not be pushed before "
                       "the end");
        v2_bill_settle(n->ctx->shm, n->slot);
    }
}


/* A 2xx. What was cut off is taken for what it began as. */
static v2_outcome_e
v2_report_success(const v2_answer_t *a)
{
    json_t        *root;
    v2_outcome_e   outcome;

    if (!a->sent) {
        return V2_OUTCOME_UNKNOWN;      /* answered before it had all */
    }

    if (a->len == 0) {
        return V2_OUTCOME_BOOKED;
    }

    root = json_loadb(a->body, a->len, JSON_DECODE_ANY, NULL);

    if (root != NULL) {
        outcome = (json_is_object(root) && v2_json_fail(root))
                  ? V2_OUTCOME_REFUSED : V2_OUTCOME_BOOKED;
        json_decref(root);
        return outcome;
    }

    return (memchr(a->body, '<', a->len) == NULL) ? V2_OUTCOME_BOOKED
                                                  : V2_OUTCOME_UNKNOWN;
}


/* What a panel process that died left open. */
static void
v2_report_recover(v2_pnode_t *n)
{
    v2_int_t     rc;
    v2_shm_t    *shm;
    const char  *batch;

    shm = n->ctx->shm;

    switch (v2_bill_state(shm, n->slot)) {

    case V2_REPORT_NONE:
        return;

    case V2_REPORT_PREPARED:
        v2_bill_release(shm, n->slot);
        return;

    default:
        break;
    }

    batch = v2_bill_batch(shm, n->slot);
    rc = (n->api != NULL && n->api->booked != NULL)
         ? n->api->booked(n, batch) : V2_ERROR;

    if (rc == V2_DECLINED) {
        v2_log(V2_LOG_NOTICE, &n->log, 0, "batch %s was not booked when the "
               "process died, it is owed again", batch);
        v2_bill_release(shm, n->slot);
        return;
    }

    if (rc != V2_OK) {
        v2_aside_write(n->ctx, n, n->slot, "the process died while it was "
                       "being pushed");
    }

    v2_bill_settle(shm, n->slot);
}


static void
v2_report_online(v2_pnode_t *n)
{
    uint32_t     since;
    uint64_t     min_bytes;
    v2_text_t    body;

    since = n->alive_since;
    n->alive_since = v2_now_s();
    min_bytes = (uint64_t) n->conf.device_online_min_kb * V2_REPORT_ONLINE_KB;

    free(n->alive_body);
    n->alive_body = NULL;
    free(n->next_online.user);

    if (v2_lines_online(n->ctx->shm, n->slot, since, min_bytes, &n->online,
                        &n->next_online, &body) != V2_OK)
    {
        v2_log(V2_LOG_ERR, &n->log, ENOMEM, "malloc() failed, no report of "
               "who is online");
        return;
    }

    n->alive_body = body.data;
    n->alive_len = body.len;
}


static void
v2_report_push(v2_pnode_t *n)
{
    v2_lines_t  lines;

    v2_lines_batch(n->ctx->shm, n->slot, &lines);

    if (lines.text.failed) {
        v2_log(V2_LOG_ERR, &n->log, ENOMEM, "malloc() failed, nothing is "
               "pushed");
        v2_bill_release(n->ctx->shm, n->slot);
        v2_report_next(n);

    } else {
        n->batch_open = 1;
        v2_bill_sending(n->ctx->shm, n->slot);
        v2_report_post(n, V2_ACT_PUSH, v2_bill_batch(n->ctx->shm, n->slot),
                       lines.text.data, lines.text.len);
    }

    v2_text_done(&lines.text);
}


/* Never fails for the caller: what cannot be started is an answer too. */
static void
v2_report_post(v2_pnode_t *n, v2_act_e act, const char *batch,
    const char *body, size_t len)
{
    char         empty[] = "";
    v2_answer_t  a;

    n->report_act = act;

    if (n->api->post(n, act, batch, body, len) == V2_OK) {
        return;
    }

    memset(&a, 0, sizeof(a));
    a.failed = 1;
    a.body = empty;
    (void) snprintf(a.error, sizeof(a.error), "the request could not be "
                    "made");
    v2_report_on_answer(n, &a);
}


static void
v2_report_pushed(v2_pnode_t *n, const v2_answer_t *a)
{
    v2_outcome_e   outcome;
    char           why[256];

    outcome = v2_report_outcome(a, n->ctx->aside_errors);

    if (!n->batch_open) {
        if (outcome == V2_OUTCOME_BOOKED) {
            v2_pnode_works(n, V2_ACT_PUSH);

        } else {
            v2_pnode_failed(n, V2_ACT_PUSH, a, "nothing was owed");
        }

        return;
    }

    n->batch_open = 0;

    switch (outcome) {

    case V2_OUTCOME_BOOKED:
        v2_bill_settle(n->ctx->shm, n->slot);
        v2_pnode_works(n, V2_ACT_PUSH);
        return;

    case V2_OUTCOME_UNSENT:
    case V2_OUTCOME_REFUSED:
        v2_bill_release(n->ctx->shm, n->slot);
        v2_pnode_failed(n, V2_ACT_PUSH, a, "it stays owed");
        return;

    default:
        (void) snprintf(why, sizeof(why), "the panel may or may not have "
                        "booked it (status %u%s%s)", a->status,
                        a->failed ? ", " : "", a->error);
        v2_aside_write(n->ctx, n, n->slot, why);
        v2_bill_settle(n->ctx->shm, n->slot);
        return;
    }
}


/* After the push: who is online, or the end of the round. */
static void
v2_report_next(v2_pnode_t *n)
{
    if (n->alive_body == NULL || n->ctx->ending || n->leaving) {
        n->reporting = 0;
        return;
    }

    v2_report_post(n, V2_ACT_ALIVE, NULL, n->alive_body, n->alive_len);
}


static void
v2_report_alive_done(v2_pnode_t *n, const v2_answer_t *a)
{
    if (v2_report_outcome(a, 0) == V2_OUTCOME_BOOKED) {
        free(n->online.user);
        n->online = n->next_online;
        memset(&n->next_online, 0, sizeof(n->next_online));
        v2_pnode_works(n, V2_ACT_ALIVE);

    } else {
        (void) v2_online_join(&n->online, &n->next_online);
        v2_pnode_failed(n, V2_ACT_ALIVE, a, "the next report follows");
    }

    free(n->alive_body);
    n->alive_body = NULL;
    n->reporting = 0;
}
