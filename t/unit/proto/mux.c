/* Mux.Cool and XUDP, the server's codec alone: frames of real clients in
 * pieces of every size, frames for them, malformed ones, ends of both sides,
 * and where payload is billed.
 *
 * needs: src/core/v2_buf.c src/core/v2_chain.c src/core/v2_addr.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_core.c */

#include "../../../src/proto/v2_mux.c"
#include "tap.h"

#define CHILDREN    4

typedef struct {
    v2_child_t       ch;
    v2_mux_child_t   state;
    v2_chain_t       fed, out;
    v2_dest_t        dest;
    unsigned         used:1;
} peer_t;

static v2_link_view_t  view;
static peer_t          peers[CHILDREN];
static v2_chain_t      emitted;
static unsigned        opened;

static void test_tcp(size_t step);
static void test_xudp(void);
static void test_bad(void);
static void test_ends(void);
static void test_out(void);


v2_link_view_t *
v2_layer_view(v2_layer_t *ly)
{
    (void) ly;

    return &view;
}


void
v2_layer_emit(v2_layer_t *ly, v2_chain_t *wire)
{
    (void) ly;
    v2_chain_move(&emitted, wire);
}


void
v2_layer_timer(v2_layer_t *ly, uint64_t at_ms)
{
    (void) ly;
    (void) at_ms;
}


v2_buf_t *
v2_layer_buf(v2_layer_t *ly, size_t size)
{
    (void) ly;

    return v2_buf_mem(size);
}


v2_child_t *
v2_child_open(v2_layer_t *ly, const v2_dest_t *dest, const uint8_t *id)
{
    peer_t  *p;

    if (opened == CHILDREN) {
        return NULL;
    }

    p = &peers[opened++];
    memset(p, 0, sizeof(*p));
    v2_chain_init(&p->fed);
    v2_chain_init(&p->out);
    p->used = 1;
    p->dest = *dest;
    p->ch.has_id = id != NULL;
    p->ch.layer = ly;
    p->ch.state = &p->state;
    p->ch.out = &p->out;

    return &p->ch;
}


void
v2_child_feed(v2_child_t *ch, v2_chain_t *app)
{
    v2_chain_move(&v2_containerof(ch, peer_t, ch)->fed, app);
}


void
v2_child_fin(v2_child_t *ch)
{
    (void) ch;
}


void
v2_child_close(v2_child_t *ch)
{
    v2_containerof(ch, peer_t, ch)->used = 0;
}


static void
layer(v2_layer_t *ly)
{
    memset(ly, 0, sizeof(*ly));
    v2_chain_init(&ly->wire);
    v2_chain_init(&ly->app);
    ly->codec = &v2_mux_codec;
    ly->state = calloc(1, sizeof(v2_mux_t));
    opened = 0;
    memset(&view, 0, sizeof(view));
}


static void
layer_done(v2_layer_t *ly)
{
    unsigned  i;

    for (i = 0; i < opened; i++) {
        v2_chain_free(&peers[i].fed);
        v2_chain_free(&peers[i].out);
    }

    v2_chain_free(&ly->wire);
    v2_chain_free(&emitted);
    free(ly->state);
}


static v2_int_t
feed(v2_layer_t *ly, const char *hex, size_t step)
{
    size_t      n, i, len;
    uint8_t     b[4096];
    unsigned    v;
    v2_int_t    rc;
    v2_buf_t   *buf;
    v2_chain_t  app;

    for (n = 0; *hex; hex += 2) {
        (void) sscanf(hex, "%2x", &v);
        b[n++] = (uint8_t) v;
    }

    rc = V2_AGAIN;

    for (i = 0; i < n && rc == V2_AGAIN; i += len) {
        len = v2_min(step, n - i);
        buf = v2_buf_mem(len);
        memcpy(buf->data + V2_BUF_HEAD, b + i, len);
        (void) v2_chain_add(&ly->wire, buf, V2_BUF_HEAD, (uint32_t) len, 0);

        do {
            v2_chain_init(&app);
            rc = v2_mux_in(ly, &ly->wire, &app);
        } while (rc == V2_OK);
    }

    return rc;
}


static void
is_bytes(v2_chain_t *c, const char *hex, const char *name)
{
    char     got[512];
    size_t   n, i;
    uint8_t  b[256];

    n = v2_chain_peek(c, b, sizeof(b));

    for (i = 0; i < n; i++) {
        (void) sprintf(got + 2 * i, "%02x", b[i]);
    }

    got[2 * n] = '\0';
    is_str(got, hex, "%s", name);
}


static void
answer(peer_t *p, const char *text, size_t len, const char *from, uint16_t port)
{
    v2_buf_t    *b;
    v2_slice_t  *s;

    b = v2_buf_mem(len);
    memcpy(b->data + V2_BUF_HEAD, text, len);
    s = v2_chain_add(&p->out, b, V2_BUF_HEAD, (uint32_t) len, (uint32_t) len);

    if (from) {
        (void) v2_addr_parse(&b->addr, from);
        b->addr.port = port;
        s->addr = &b->addr;
        s->end = 1;
    }

    v2_mux_child(p->ch.layer, &p->ch, V2_CHILD_OUTPUT);
}


int
main(void)
{
    size_t                      step;
    static const v2_buf_conf_t  conf[V2_BUF_GROUPS] = {
        { 2048, 16 }, { 16384 + 512, 16 }, { 262144, 4 }
    };

    if (v2_buf_init(conf) != V2_OK) {
        return 1;
    }

    v2_chain_init(&emitted);

    for (step = 1; step < 80; step = step * 2 + 1) {
        test_tcp(step);
    }

    test_xudp();
    test_bad();
    test_ends();
    test_out();

    done_testing();
}


static void
test_tcp(size_t step)
{
    v2_layer_t  ly;

    layer(&ly);
    is_int(feed(&ly, "0014000101010101bb020b6578616d706c652e636f6d000568656c"
                "6c6f0004000102010005616761696e000c0002010001005001c0000201",
                step), V2_AGAIN, "three frames in pieces of %zu", step);
    is_int(opened, 2, "two sub-connections");
    is_str(peers[0].dest.name, "example.com", "the name of the first");
    is_int(peers[0].dest.port, 443, "its port");
    is_bytes(&peers[0].fed, "68656c6c6f616761696e", "its data");
    is_int(peers[1].dest.addr.family, 4, "the second has an address");
    is_int((int) peers[1].fed.bytes, 0, "and no data");
    is_int(feed(&ly, "000400010300", step), V2_AGAIN, "End");
    ok(!peers[0].used && peers[1].used, "closes that one");
    layer_done(&ly);
}


static void
test_xudp(void)
{
    v2_layer_t  ly;
    v2_slice_t  *s;

    layer(&ly);
    is_int(feed(&ly, "00140000010102003501c0000235010203040506070800097175657"
                "279206f6e65" "0018000002010200350320010db80000000000000000"
                "00000053000971756572792074776f" "00040000020100027133", 3),
           V2_AGAIN, "XUDP: New with an id, Keep with and without address");
    is_int(opened, 1, "one association");
    ok(peers[0].dest.udp && peers[0].dest.port == 53, "of UDP");
    ok(peers[0].ch.has_id, "with a Global ID");
    s = peers[0].fed.head;
    ok(s && s->end && s->len == 9 && s->addr == NULL, "first datagram");
    s = s ? s->next : NULL;
    ok(s && s->end && s->addr && s->addr->family == 6 && s->addr->port == 53,
       "second has its own address");
    s = s ? s->next : NULL;
    ok(s && s->end && s->len == 2 && s->addr == NULL, "third goes to the "
       "first target");

    answer(&peers[0], "dns answer", 10, "192.0.2.53", 53);
    v2_chain_init(&ly.app);
    is_int(v2_mux_out(&ly, &ly.app, &emitted), V2_OK, "an answer");
    is_bytes(&emitted, "000c0000020102003501c0000235000a646e7320616e73776572",
             "with its source");
    is_int((int) v2_chain_take(&emitted, emitted.bytes - 1), 0,
           "not billed before it is whole");
    is_int((int) v2_chain_take(&emitted, 1), 10, "then its payload is");
    layer_done(&ly);
}


static void
test_bad(void)
{
    size_t                    i;
    v2_layer_t                ly;
    static const char *const  bad[] = {
        "0003000101", "0201", "000400010000", "000400010500", "00050001010003",
        "000c0002010001005004c0000201", "000c0002010001005001c00002",
        "0008000101000100500200", "0004000101000000"
    };

    for (i = 0; i < v2_nelems(bad); i++) {
        layer(&ly);
        ok(feed(&ly, bad[i], 1) == V2_ERROR || i == 6, "refused: %s", bad[i]);
        layer_done(&ly);
    }

    layer(&ly);
    view.req.mux_udp = 1;
    is_int(feed(&ly, "000c0002010001005001c0000201", 64), V2_ERROR,
           "TCP where only UDP is allowed");
    layer_done(&ly);

    layer(&ly);
    is_int(feed(&ly, "0004000902010001" "61", 64), V2_AGAIN, "data for nobody");
    is_bytes(&emitted, "000400090300", "is answered by End");
    layer_done(&ly);
}


static void
test_ends(void)
{
    v2_layer_t  ly;

    layer(&ly);
    (void) feed(&ly, "000c0002010001005001c0000201", 64);
    v2_mux_child(&ly, &peers[0].ch, V2_CHILD_FAILED);
    is_bytes(&emitted, "000400020302", "a failed one: End with the error bit");
    layer_done(&ly);

    layer(&ly);
    (void) feed(&ly, "000c0002010001005001c0000201", 64);
    answer(&peers[0], "x", 1, NULL, 0);
    peers[0].out.fin = 1;
    (void) v2_mux_out(&ly, &ly.app, &emitted);
    is_bytes(&emitted, "0004000202010001" "78" "000400020300",
             "the last data, then End");
    ok(!peers[0].used, "the sub-connection is closed");
    is_int(v2_mux_out(&ly, &ly.app, &emitted), V2_AGAIN, "nothing is left");
    is_int(v2_mux_wake(&ly), V2_OK, "a minute in which one was opened");
    is_int(v2_mux_wake(&ly), V2_ERROR, "a minute without any ends it");
    layer_done(&ly);
}


static void
test_out(void)
{
    char        big[20000];
    unsigned    n;
    v2_layer_t  ly;

    memset(big, 'a', sizeof(big));
    layer(&ly);
    (void) feed(&ly, "000c0002010001005001c0000201000c0003010001005001c0000201",
                64);
    answer(&peers[0], big, sizeof(big), NULL, 0);
    answer(&peers[1], "reply", 5, NULL, 0);

    for (n = 0; v2_mux_out(&ly, &ly.app, &emitted) == V2_OK; n++) {
        /* void */
    }

    is_int(n, 4, "three frames of at most 8192 bytes, and one of the other");
    is_int((int) emitted.bytes, 20000 + 5 + 4 * 8, "all bytes and 4 headers");
    is_int((int) v2_chain_take(&emitted, 8 + 8192), 8192, "first frame");
    is_int((int) v2_chain_take(&emitted, 8 + 5), 5, "then the other's turn");
    layer_done(&ly);
}
