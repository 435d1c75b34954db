/* Links with layers that were made for this test: a "secure" one whose records
 * are a length byte and its bytes xor 0x55, and one above it that leaves, or
 * takes the secure one out, at an exact byte. Input in pieces of every size;
 * bills going out.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_log.c
 * needs: src/core/v2_time.c src/core/v2_timer.c src/core/v2_core.c */

#include "../../../src/core/v2_link.c"
#include "tap.h"

#define RECORD_MAX  16

static v2_worker_t  worker;
static unsigned     ended, closed;

static v2_int_t secure_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
static v2_int_t secure_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire);
static v2_int_t secure_end(v2_layer_t *ly, v2_chain_t *wire);
static v2_int_t top_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app);
static v2_int_t top_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire);
static void any_close(v2_layer_t *ly);

static const v2_codec_t  secure = {
    .name = "secure", .flags = V2_CODEC_SECURE, .in = secure_in,
    .out = secure_out, .end = secure_end, .close = any_close
};

/* '>' leaves, '!' goes direct, '?' is somebody else's, '.' is the request */
static const v2_codec_t  top = {
    .name = "top", .flags = V2_CODEC_PROXY, .in = top_in, .out = top_out,
    .close = any_close
};


/* The socket is not part of this test. */
void
v2_conn_flush(v2_conn_t *c)
{
    (void) c;
}


void
v2_sess_close(v2_sess_t *s, unsigned how, unsigned level, int err,
    const char *text)
{
    (void) s;
    (void) how;
    (void) level;
    (void) err;
    (void) text;
}


v2_int_t
v2_child_pull(v2_link_t *l, unsigned i)
{
    (void) l;
    (void) i;

    return V2_OK;
}


static v2_int_t
secure_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    size_t    i;
    uint8_t   b[RECORD_MAX + 1];

    (void) ly;

    if (v2_chain_peek(wire, b, 1) < 1 || wire->bytes < (size_t) b[0] + 1) {
        return V2_AGAIN;
    }

    (void) v2_chain_peek(wire, b, (size_t) b[0] + 1);
    (void) v2_chain_take(wire, (size_t) b[0] + 1);

    for (i = 1; i <= b[0]; i++) {
        b[i] ^= 0x55;
    }

    return v2_chain_copy(app, b + 1, b[0]);
}


static v2_int_t
secure_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    size_t   i, n;
    uint8_t  b[RECORD_MAX + 1];

    (void) ly;

    n = v2_chain_peek(app, b + 1, RECORD_MAX);
    (void) v2_chain_take(app, n);
    b[0] = (uint8_t) n;

    for (i = 1; i <= n; i++) {
        b[i] ^= 0x55;
    }

    return v2_chain_copy(wire, b, n + 1);
}


static v2_int_t
secure_end(v2_layer_t *ly, v2_chain_t *wire)
{
    static const uint8_t  zero;

    (void) ly;
    ended++;

    return v2_chain_copy(wire, &zero, 1);
}


static v2_int_t
top_in(v2_layer_t *ly, v2_chain_t *wire, v2_chain_t *app)
{
    uint8_t  c;

    (void) ly;

    if (v2_chain_peek(wire, &c, 1) == 0) {
        return V2_AGAIN;
    }

    switch (c) {

    case '>':
        (void) v2_chain_take(wire, 1);
        return V2_PASS;

    case '!':
        (void) v2_chain_take(wire, 1);
        return V2_DIRECT;

    case '.':
        (void) v2_chain_take(wire, 1);
        return V2_DONE;

    case '?':
        return V2_DECLINED;

    default:
        return v2_chain_move_n(app, wire, 1);
    }
}


static v2_int_t
top_out(v2_layer_t *ly, v2_chain_t *app, v2_chain_t *wire)
{
    uint8_t   c;
    v2_int_t  rc;

    (void) ly;
    (void) v2_chain_peek(app, &c, 1);
    rc = v2_chain_move_n(wire, app, 1);

    return rc != V2_OK ? rc : c == '!' ? V2_DIRECT : c == '>' ? V2_PASS : rc;
}


static void
any_close(v2_layer_t *ly)
{
    (void) ly;
    closed++;
}


static void
open_link(v2_link_t *l, v2_layer_t *layers, v2_link_view_t *view)
{
    static const v2_codec_t *const  codecs[2] = { &secure, &top };

    memset(l, 0, sizeof(*l));
    memset(view, 0, sizeof(*view));
    v2_chain_init(&l->conn.out);
    v2_queue_init(&worker.posted);
    ok(v2_link_open(l, &worker, layers, 2, codecs, 2, view) == V2_OK, "open");
}


static size_t
seal(const char *text, size_t record, uint8_t *out)
{
    size_t  i, n, len;

    len = strlen(text);

    for (n = i = 0; i < len; i++) {
        if (i % record == 0) {
            out[n++] = (uint8_t) v2_min(record, len - i);
        }

        out[n++] = (uint8_t) text[i] ^ 0x55;
    }

    return n;
}


/* Feeds sealed text and then raw bytes; what comes out must be `want`. */
static void
check_in(const char *sealed, const char *raw, size_t record, size_t step,
    v2_int_t last, const char *want)
{
    char             got[256];
    size_t           i, n, len;
    uint8_t          wire[512];
    v2_int_t         rc;
    v2_buf_t        *b;
    v2_link_t        l;
    v2_layer_t       layers[V2_LINK_LAYERS];
    v2_link_view_t   view;

    open_link(&l, layers, &view);
    n = seal(sealed, record, wire);
    memcpy(wire + n, raw, strlen(raw));
    n += strlen(raw);
    rc = V2_OK;

    for (i = 0; i < n && (rc == V2_OK || rc == V2_DONE); i += len) {
        len = v2_min(step, n - i);
        b = v2_buf_get(V2_BUF_HAND);
        memcpy(b->data + V2_BUF_HEAD, wire + i, len);
        rc = v2_link_input(&l, b, (uint32_t) len);
    }

    n = v2_chain_peek(&l.app, got, sizeof(got) - 1);
    got[n] = '\0';
    is_str(got, want, "in: \"%s\" + \"%s\", records of %zu, pieces of %zu",
           sealed, raw, record, step);
    ok(last == V2_DONE ? l.done : rc == last, "result");
    v2_link_close(&l);
    is_int(v2_buf_free_n(V2_BUF_HAND), 64, "no buffer is kept");
}


static void
check_out(const char *text, const char *want_sealed, const char *want_raw)
{
    size_t           i, n, bill;
    uint8_t          got[512], open[512];
    v2_buf_t        *b;
    v2_chain_t       c;
    v2_link_t        l;
    v2_layer_t       layers[V2_LINK_LAYERS];
    v2_link_view_t   view;

    open_link(&l, layers, &view);

    for (i = 0; i < strlen(text); i += n) {
        n = v2_min(strlen(text) - i, 7);
        v2_chain_init(&c);
        b = v2_buf_get(V2_BUF_HAND);
        memcpy(b->data + V2_BUF_HEAD, text + i, n);
        (void) v2_chain_add(&c, b, V2_BUF_HEAD, (uint32_t) n, (uint32_t) n);
        v2_link_output(&l, &c);

        if (i % 2) {
            (void) v2_link_flush(&l);
        }
    }

    v2_link_end(&l);
    (void) v2_link_flush(&l);
    is_int(v2_link_queued(&l), l.conn.out.bytes, "all reached the socket");
    ok(l.conn.out.fin, "and its end");

    n = v2_chain_peek(&l.conn.out, got, sizeof(got));

    /* open the records until the sealed text is there */

    for (i = bill = 0; bill < strlen(want_sealed); /* void */) {
        size_t  k, len;

        len = got[i++];

        for (k = 0; k < len; k++) {
            open[bill++] = got[i++] ^ 0x55;
        }
    }

    ok(bill == strlen(want_sealed) && memcmp(open, want_sealed, bill) == 0,
       "out: \"%s\" sealed", want_sealed);
    ok(n - i >= strlen(want_raw)
       && memcmp(got + i, want_raw, strlen(want_raw)) == 0,
       "out: \"%s\" as it is", want_raw);
    is_int((int) v2_chain_take(&l.conn.out, l.conn.out.bytes),
           (int) strlen(text), "billed: every byte, once");
    v2_link_close(&l);
}


int
main(void)
{
    size_t                      record, step;
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 64 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    if (v2_buf_init(conf) != V2_OK) {
        return 1;
    }

    for (record = 1; record <= RECORD_MAX; record += 5) {
        for (step = 1; step < 40; step += 3) {
            check_in("hello", "", record, step, V2_OK, "hello");
            check_in("ab>cd!ef", "", record, step, V2_OK, "abcd!ef");
            check_in("ab.cd", "", record, step, V2_DONE, "abcd");
            check_in("abc!", "raw\1\2", record, step, V2_OK, "abcraw\1\2");
            check_in("ab?cd", "", record, step, V2_DECLINED, "ab");
        }
    }

    check_in("abc!def", "raw", 16, 3, V2_OK, "abcdefraw");

    check_out("hello world, this is longer", "hello world, this is longer",
              "");
    is_int(ended, 1, "the secure layer said its end");
    check_out("hi>there", "hi>there", "");
    is_int(ended, 2, "also when the layer above it had left");
    check_out("some text! and the rest is as it is", "some text!",
              " and the rest is as it is");
    is_int(ended, 2, "no end behind raw bytes");
    ok(closed > 0 && closed % 2 == 0, "each layer is closed once");

    done_testing();
}
