/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c
 * needs: src/panel/v2_panel_json.c src/panel/v2_panel_text.c */
/* libs: -ljansson -lm */

#include "v2_config.h"
#include "v2_core.h"
#include "../tap.h"
#include "../../../src/panel/v2_panel_report.c"

/* What the shared zone and the panel see of one node's reports. */
static struct {
    unsigned      state, settled, released, asides, posts, alives;
    uint32_t      lines;
    uint64_t      min_bytes;
    int           all;
    v2_act_e      act;
    char          body[128], batch[40];
    v2_int_t      post_rc, booked_rc;
    uint64_t      online_min;
} w;

static v2_shm_t    shm;
static v2_pctx_t   ctx;
static v2_pnode_t  node;
static v2_panel_t  api;


uint32_t
v2_bill_prepare(v2_shm_t *s, uint32_t slot, uint64_t min_bytes, int all)
{
    (void) s;
    (void) slot;
    w.min_bytes = min_bytes;
    w.all = all;
    w.state = w.lines ? V2_REPORT_PREPARED : V2_REPORT_NONE;
    return w.lines;
}


void
v2_bill_sending(v2_shm_t *s, uint32_t slot)
{
    (void) s;
    (void) slot;
    w.state = V2_REPORT_SENDING;
}


void
v2_bill_settle(v2_shm_t *s, uint32_t slot)
{
    (void) s;
    (void) slot;
    w.settled++;
    w.lines = 0;
    w.state = V2_REPORT_NONE;
}


void
v2_bill_release(v2_shm_t *s, uint32_t slot)
{
    (void) s;
    (void) slot;
    w.released++;
    w.state = V2_REPORT_NONE;
}


unsigned
v2_bill_state(const v2_shm_t *s, uint32_t slot)
{
    (void) s;
    (void) slot;
    return w.state;
}


const char *
v2_bill_batch(const v2_shm_t *s, uint32_t slot)
{
    (void) s;
    (void) slot;
    return "0b5d1c1e-0000-4000-8000-000000000001";
}


void
v2_lines_batch(v2_shm_t *s, uint32_t slot, v2_lines_t *lines)
{
    (void) s;
    (void) slot;
    memset(lines, 0, sizeof(*lines));
    v2_text_puts(&lines->text, "{\"1\":[2,3]}");
}


v2_int_t
v2_lines_online(v2_shm_t *s, uint32_t slot, uint32_t since, uint64_t min_bytes,
    const v2_online_t *before, v2_online_t *now, v2_text_t *out)
{
    (void) s;
    (void) slot;
    (void) since;
    (void) before;
    w.online_min = min_bytes;
    now->user = malloc(sizeof(uint64_t));
    now->user[0] = 7;
    now->n = 1;
    v2_text_init(out);
    v2_text_puts(out, "{\"7\":[\"192.0.2.1\"]}");
    return V2_OK;
}


v2_int_t
v2_online_join(v2_online_t *x, const v2_online_t *y)
{
    (void) x;
    (void) y;
    return V2_OK;
}


void
v2_aside_write(v2_pctx_t *c, const v2_pnode_t *n, uint32_t slot,
    const char *why)
{
    (void) c;
    (void) n;
    (void) slot;
    (void) why;
    w.asides++;
}


void
v2_pnode_failed(v2_pnode_t *n, v2_act_e act, const v2_answer_t *a,
    const char *why)
{
    (void) n;
    (void) act;
    (void) a;
    (void) why;
}


void
v2_pnode_works(v2_pnode_t *n, v2_act_e act)
{
    (void) n;
    (void) act;
}


static v2_int_t
post(v2_pnode_t *n, v2_act_e act, const char *batch, const char *body,
    size_t len)
{
    (void) n;
    w.posts++;
    w.alives += (act == V2_ACT_ALIVE);
    w.act = act;
    (void) snprintf(w.body, sizeof(w.body), "%.*s", (int) len, body);
    (void) snprintf(w.batch, sizeof(w.batch), "%s", batch ? batch : "");
    return w.post_rc;
}


static v2_int_t
booked(v2_pnode_t *n, const char *batch)
{
    (void) n;
    (void) batch;
    return w.booked_rc;
}


static void
start(void)
{
    free(node.online.user);
    free(node.next_online.user);
    free(node.alive_body);
    memset(&w, 0, sizeof(w));
    memset(&ctx, 0, sizeof(ctx));
    memset(&node, 0, sizeof(node));
    api.post = post;
    api.push_empty = 0;
    ctx.shm = &shm;
    node.ctx = &ctx;
    node.api = &api;
    w.lines = 1;
}


static void
answered(unsigned status, unsigned sent, const char *body)
{
    char         text[256];
    v2_answer_t  a;

    memset(&a, 0, sizeof(a));
    (void) snprintf(text, sizeof(text), "%s", body);
    a.status = status;
    a.failed = (status == 0);
    a.sent = sent;
    a.body = text;
    a.len = strlen(text);

    v2_report_on_answer(&node, &a);
}


static void
test_outcomes(void)
{
    size_t        i;
    char          text[128];
    v2_answer_t   a;

    static const struct {
        unsigned       status, failed, sent;
        const char    *body;
        v2_outcome_e   outcome;
    } t[] = {
        { 0, 1, 0, "", V2_OUTCOME_UNSENT },
        { 0, 1, 1, "", V2_OUTCOME_UNKNOWN },
        { 200, 0, 1, "", V2_OUTCOME_BOOKED },
        { 204, 0, 1, "", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"message\":\"ok\"}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"data\":true}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"data\":{}}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "ok", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "true", V2_OUTCOME_BOOKED },
        { 200, 1, 1, "{\"mess", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"message\":\"a < b\"}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "<html></html>", V2_OUTCOME_UNKNOWN },
        { 200, 1, 1, "<htm", V2_OUTCOME_UNKNOWN },
        { 200, 1, 0, "", V2_OUTCOME_UNKNOWN },
        { 200, 0, 1, "{\"status\":\"fail\"}", V2_OUTCOME_REFUSED },
        { 200, 0, 1, "{\"status\":\"success\"}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"ret\":0,\"msg\":\"x\"}", V2_OUTCOME_REFUSED },
        { 200, 0, 1, "{\"ret\":1}", V2_OUTCOME_BOOKED },
        { 200, 0, 1, "{\"data\":false}", V2_OUTCOME_REFUSED },
        { 301, 0, 1, "", V2_OUTCOME_REFUSED },
        { 400, 0, 1, "{}", V2_OUTCOME_REFUSED },
        { 403, 0, 0, "", V2_OUTCOME_REFUSED },
        { 422, 0, 1, "", V2_OUTCOME_REFUSED },
        { 500, 0, 1, "", V2_OUTCOME_REFUSED },
        { 502, 0, 1, "<html>", V2_OUTCOME_REFUSED },
        { 503, 0, 1, "", V2_OUTCOME_REFUSED },
        { 504, 0, 1, "", V2_OUTCOME_UNKNOWN },
        { 520, 0, 1, "", V2_OUTCOME_UNKNOWN },
        { 524, 0, 1, "", V2_OUTCOME_UNKNOWN },
        { 599, 0, 1, "", V2_OUTCOME_UNKNOWN }
    };

    for (i = 0; i < v2_nelems(t); i++) {
        memset(&a, 0, sizeof(a));
        (void) snprintf(text, sizeof(text), "%s", t[i].body);
        a.status = t[i].status;
        a.failed = t[i].failed & 1;
        a.sent = t[i].sent & 1;
        a.body = text;
        a.len = strlen(text);
        is_int(v2_report_outcome(&a, 0), t[i].outcome,
               "status %u %s %s: \"%s\"", a.status,
               a.failed ? "broken off" : "whole", a.sent ? "sent" : "not sent",
               text);
    }

    memset(&a, 0, sizeof(a));
    a.status = 500;
    a.sent = 1;
    is_int(v2_report_outcome(&a, 1), V2_OUTCOME_UNKNOWN,
           "500 with PushServerError aside");
    a.status = 403;
    is_int(v2_report_outcome(&a, 1), V2_OUTCOME_REFUSED, "403 as ever");
}


static void
test_booked(void)
{
    start();
    node.conf.report_min_kb = 3;
    node.conf.device_online_min_kb = 4;
    v2_report_start(&node, 0, 1);

    is_int(w.state, V2_REPORT_SENDING, "marked before it is sent");
    is_int(w.min_bytes, 3072, "ReportMinTraffic is x 1024");
    is_int(w.online_min, 4000, "DeviceOnlineMinTraffic is x 1000");
    is_str(w.body, "{\"1\":[2,3]}", "the batch");
    is_str(w.batch, "0b5d1c1e-0000-4000-8000-000000000001", "its id");

    v2_report_start(&node, 0, 1);
    is_int(w.posts, 1, "one report at a time");

    answered(200, 1, "{\"message\":\"ok\"}");
    is_int(w.settled, 1, "booked: settled");
    is_int(w.alives, 1, "then who is online");
    is_str(w.body, "{\"7\":[\"192.0.2.1\"]}", "as it was before the push");

    answered(200, 1, "");
    is_int(node.online.n, 1, "remembered as reported");
    is_int(node.reporting, 0, "the round is over");
}


static void
test_not_booked(void)
{
    start();
    v2_report_start(&node, 0, 1);
    answered(500, 1, "{\"message\":\"token is error\"}");
    is_int(w.released, 1, "refused: owed again");
    is_int(w.settled, 0, "not settled");
    is_int(w.alives, 1, "who is online goes out all the same");
    answered(0, 0, "");
    is_int(node.reporting, 0, "the round is over");

    v2_report_start(&node, 0, 0);
    answered(0, 0, "");
    is_int(w.released, 2, "not sent: owed again");

    v2_report_start(&node, 0, 0);
    answered(0, 1, "");
    is_int(w.asides, 1, "unknown: set aside");
    is_int(w.settled, 1, "and settled");

    start();
    w.post_rc = V2_ERROR;
    v2_report_start(&node, 1, 1);
    is_int(w.released, 1, "a request that cannot be made: owed again");
    is_int(node.reporting, 0, "the round is over");
    is_int(w.all, 1, "all was asked for");
}


static void
test_empty(void)
{
    start();
    w.lines = 0;
    v2_report_start(&node, 0, 1);
    is_int(w.act, V2_ACT_ALIVE, "nothing owed: no push");
    answered(200, 1, "");

    start();
    w.lines = 0;
    api.push_empty = 1;
    v2_report_start(&node, 0, 1);
    is_str(w.body, "{}", "an empty push where it is wanted");
    answered(500, 1, "");
    is_int(w.settled + w.released, 0, "has nothing to settle");
    is_int(w.alives, 1, "who is online follows");

    start();
    w.lines = 0;
    v2_report_start(&node, 0, 0);
    is_int(w.posts, 0, "nothing to say");
    is_int(node.reporting, 0, "the round is over");
}


static void
test_crash(void)
{
    start();
    w.state = V2_REPORT_PREPARED;
    v2_report_start(&node, 0, 0);
    is_int(w.released, 1, "found PREPARED: owed again");
    is_int(w.posts, 1, "and pushed");

    start();
    w.state = V2_REPORT_SENDING;
    w.lines = 0;
    v2_report_start(&node, 0, 0);
    is_int(w.asides, 1, "found SENDING: set aside");
    is_int(w.settled, 1, "and settled");

    start();
    api.booked = booked;
    w.booked_rc = V2_OK;
    w.state = V2_REPORT_SENDING;
    v2_report_start(&node, 0, 0);
    is_int(w.settled, 1, "where it is known: booked");
    is_int(w.asides, 0, "nothing aside");

    start();
    w.booked_rc = V2_DECLINED;
    w.state = V2_REPORT_SENDING;
    v2_report_start(&node, 0, 0);
    is_int(w.released, 1, "where it is known: not booked");
    api.booked = NULL;
}


static void
test_end(void)
{
    start();
    ctx.ending = 1;
    v2_report_start(&node, 1, 0);
    answered(500, 1, "");
    is_int(w.released, 1, "the last push is refused");
    v2_report_end(&node);
    is_int(w.asides, 1, "what is owed at the end is set aside");
    is_int(w.settled, 1, "and not owed any more");

    v2_report_end(&node);
    is_int(w.asides, 1, "nothing owed: no file");
}


int
main(void)
{
    v2_log_init(2, V2_LOG_EMERG, -1);

    test_outcomes();
    test_booked();
    test_not_booked();
    test_empty();
    test_crash();
    test_end();
    start();
    done_testing();
}
