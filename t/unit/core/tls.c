/* needs: src/core/v2_tls_ctx.c src/core/v2_cert.c src/core/v2_tls13.c
 * needs: src/core/v2_crypt.c src/core/v2_buf.c src/core/v2_chain.c
 * needs: src/core/v2_log.c src/core/v2_time.c src/core/v2_flat.c
 * needs: src/core/v2_core.c */
/* libs: -lssl -lcrypto */

#include "v2_tls.c"

#include "tap.h"
#include "tls_peer.h"

#include <malloc.h>

#define BIG  (1u << 20)


static char     *cert, *key, *cert2, *key2;
static uint8_t   data[BIG];


static void
test_certs(void)
{
    char   why[256], *c, *k;
    char   name[101];

    is_int(v2_tls_self_signed("a.example.org", &cert, &key), V2_OK,
           "a certificate of our own");
    is_int(v2_tls_self_signed("*.example.net", &cert2, &key2), V2_OK,
           "another one");
    is_int(v2_tls_check_pair(cert, strlen(cert), key, strlen(key), why,
                             sizeof(why)), V2_OK, "it matches its key");

    is_int(v2_tls_check_pair(cert, strlen(cert), key2, strlen(key2), why,
                             sizeof(why)), V2_ERROR, "but no other key");
    ok(strstr(why, "does not match") != NULL, "reason: %s", why);

    is_int(v2_tls_check_pair("x", 1, key, strlen(key), why, sizeof(why)),
           V2_ERROR, "no certificate");
    ok(strstr(why, "certificate does not parse") != NULL, "reason: %s", why);

    is_int(v2_tls_check_pair(cert, strlen(cert), "", 0, why, sizeof(why)),
           V2_ERROR, "no key");
    ok(strstr(why, "key does not parse") != NULL, "reason: %s", why);

    is_int(v2_tls_check_pair(cert, strlen(cert) - 40, key, strlen(key), why,
                             sizeof(why)), V2_ERROR,
           "a certificate that broke off");

    c = malloc(strlen(cert) + strlen(cert2) + 1);
    sprintf(c, "%s%s", cert, cert2);
    is_int(v2_tls_check_pair(c, strlen(c), key, strlen(key), why,
                             sizeof(why)), V2_OK, "a chain");
    c[strlen(c) - 40] = '\0';
    is_int(v2_tls_check_pair(c, strlen(c), key, strlen(key), why,
                             sizeof(why)), V2_ERROR,
           "a chain that broke off");
    free(c);

    memset(name, 'a', 100);
    name[100] = '\0';
    is_int(v2_tls_self_signed(name, &c, &k), V2_OK, "a long name");
    is_int(v2_tls_check_pair(c, strlen(c), k, strlen(k), why, sizeof(why)),
           V2_OK, "and its key");
    free(c);
    free(k);

    is_int(v2_tls_self_signed("192.0.2.1", &c, &k), V2_OK, "an address");
    free(c);
    free(k);
}


static void
test_sharing(void)
{
    char           why[256];
    v2_tls_ctx_t  *a, *b, *c;

    a = peer_ctx(cert, key, NULL, 0, why, sizeof(why));
    b = peer_ctx(cert, key, NULL, 0, why, sizeof(why));
    c = peer_ctx(cert, key, NULL, 1, why, sizeof(why));

    ok(a != NULL && a == b, "equal content is one context");
    ok(c != NULL && c != a, "another setting is another one");

    v2_tls_ctx_destroy(a);
    v2_tls_ctx_destroy(b);
    v2_tls_ctx_destroy(c);

    ok(peer_ctx(cert, key2, NULL, 0, why, sizeof(why)) == NULL,
       "no context without the right key: %s", why);
}


static void
test_transfer(int version, const char *suites, size_t piece, size_t seg)
{
    peer_t       *p;
    v2_tls_t     *st;
    const char   *name;
    peer_conf_t   conf = { "A.Example.ORG", "\x08http/1.1\x02h2", version,
                           suites };

    name = version == TLS1_2_VERSION ? "TLS 1.2" : "TLS 1.3";

    p = peer_new(&conf);
    st = p->layer.state;

    ok(peer_handshake(p, seg), "%s %s, segments of %zu: handshake", name,
       suites ? suites : "", seg);
    is_str(p->view.req.sni, "a.example.org", "the name is seen");
    is_str(p->view.req.alpn, "h2", "the server's order wins");
    ok((st->ssl == NULL) == (version == TLS1_3_VERSION),
       "TLS 1.3 alone leaves libssl");

    is_int(peer_send(p, data, BIG, piece, seg), V2_AGAIN, "upload");
    ok(p->got_n == BIG && memcmp(p->got, data, BIG) == 0,
       "all %zu bytes in records of %zu", p->got_n, piece);

    is_int(peer_answer(p, data, BIG, piece), BIG, "download is all billed");
    is_int(peer_down(p), SSL_ERROR_WANT_READ, "read");
    ok(p->back_n == BIG && memcmp(p->back, data, BIG) == 0,
       "all %zu bytes from slices of %zu", p->back_n, piece);

    SSL_shutdown(p->ssl);
    is_int(peer_up(p, seg), V2_AGAIN, "the client says goodbye");
    ok(p->fin, "and that is the end of its data");

    is_int(peer_answer(p, data, 10, 10), 10, "the answer goes on");
    peer_end(p);
    is_int(peer_down(p), SSL_ERROR_ZERO_RETURN, "so does the server");
    is_int(p->back_n, BIG + 10, "after all data");

    peer_free(p);
}


/* A wrong name or protocol: the client must see this alert. */

static void
test_refused(const char *sni, const char *alpn, int version, int alert,
    const char *what)
{
    peer_t       *p;
    peer_conf_t   conf = { sni, alpn, version, NULL };

    p = peer_new(&conf);

    if (alert == -1) {
        ok(peer_handshake(p, 100000), "%s", what);

    } else {
        ok(!peer_handshake(p, 100000) && p->rc == V2_ERROR, "%s", what);
        is_int(p->alert, alert, "alert: %s",
               p->view.req.why ? p->view.req.why : "no reason");
    }

    peer_free(p);
}


static void
test_names(int version)
{
    char           why[256];
    v2_tls_ctx_t  *saved;

    saved = peer_tls;
    peer_tls = peer_ctx(cert2, key2, "\x08http/1.1", 1, why, sizeof(why));

    test_refused("www.example.net", NULL, version, -1, "wildcard name");
    test_refused("WWW.example.NET", NULL, version, -1, "in capitals");
    test_refused("*.example.net", NULL, version, -1, "literally");
    test_refused("example.net", NULL, version, 112, "parent name");
    test_refused("a.b.example.net", NULL, version, 112, "two labels");
    test_refused("example.org", NULL, version, 112, "other name");
    test_refused(NULL, NULL, version, 112, "no name");
    test_refused("a.example.net", "\x02h2", version, 120,
                 "client wants h2 alone");
    test_refused("a.example.net", "\x02h2\x08http/1.1", version, -1,
                 "client takes both");

    v2_tls_ctx_destroy(peer_tls);
    peer_tls = peer_ctx(cert, key, "\x02h2", 0, why, sizeof(why));

    test_refused("other.example.net", NULL, version, -1,
                 "any name without the option");
    test_refused(NULL, "\x08http/1.1", version, -1,
                 "http/1.1 goes on with an h2 server");
    test_refused(NULL, "\x03xyz", version, 120, "nothing in common");

    v2_tls_ctx_destroy(peer_tls);
    peer_tls = saved;
}


static void
test_garbage(void)
{
    peer_t       *p;
    peer_conf_t   conf = { NULL, NULL, 0, NULL };

    static const char     http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    static const uint8_t  long_one[] = { 22, 3, 1, 0xff, 0xff };
    static const uint8_t  junk[] = { 22, 3, 1, 0, 8, 1, 0, 0, 4, 9, 9, 9, 9 };

    p = peer_new(&conf);
    is_int(peer_raw(p, http, 4, 1), V2_AGAIN, "four bytes of HTTP: wait");
    is_int(peer_raw(p, http + 4, sizeof(http) - 5, 100), V2_ERROR,
           "HTTP is no TLS");
    is_str(p->view.req.why, "not a TLS handshake", "reason");
    is_int(BIO_pending(p->in), 0, "and gets no answer");
    peer_free(p);

    p = peer_new(&conf);
    is_int(peer_raw(p, long_one, 5, 1), V2_ERROR, "a record too long");
    is_int(BIO_pending(p->in), 7, "gets an alert: %s", p->view.req.why);
    peer_free(p);

    p = peer_new(&conf);
    is_int(peer_raw(p, junk, sizeof(junk), 100), V2_ERROR, "a false hello");
    is_int(BIO_pending(p->in), 7, "gets an alert: %s", p->view.req.why);
    is_int(peer_run(p), V2_ERROR, "and it stays so");
    peer_free(p);

    p = peer_new(&conf);
    (void) SSL_do_handshake(p->ssl);
    (void) BIO_write(p->out, "", 1);
    is_int(peer_up(p, 7), V2_AGAIN, "half a record is waited for");
    peer_free(p);
}


/* A record with one wrong byte. */

static void
test_forged(int version)
{
    long          len;
    char         *wire;
    peer_t       *p;
    peer_conf_t   conf = { NULL, NULL, version, NULL };

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "handshake");
    SSL_write(p->ssl, data, 100);
    len = BIO_get_mem_data(p->out, &wire);
    wire[len / 2] ^= 1;
    is_int(peer_up(p, 100000), V2_ERROR, "a forged record: %s",
           p->view.req.why);
    (void) peer_down(p);
    is_int(p->alert, V2_ALERT_BAD_MAC, "alert");
    is_int(p->got_n, 0, "nothing of it is handed up");
    peer_free(p);
}


static void
test_one_unit(int version)
{
    peer_t       *p;
    v2_buf_t     *b;
    v2_chain_t    app;
    peer_conf_t   conf = { NULL, NULL, version, NULL };

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "handshake");

    SSL_write(p->ssl, data, 100);
    SSL_write(p->ssl, data + 100, 200);

    b = v2_buf_get(V2_BUF_SMALL);
    (void) v2_chain_add(&p->layer.wire, b, V2_BUF_HEAD, (uint32_t)
                        BIO_read(p->out, b->data + V2_BUF_HEAD, 16384), 0);

    v2_chain_init(&app);
    is_int(v2_tls_codec.in(&p->layer, &p->layer.wire, &app), V2_OK,
           "two records in one segment");
    is_int(app.bytes, 100, "the first one");
    is_int(v2_tls_codec.in(&p->layer, &p->layer.wire, &app), V2_OK, "again");
    is_int(app.bytes, 300, "the second one");
    is_int(v2_tls_codec.in(&p->layer, &p->layer.wire, &app), V2_AGAIN,
           "no third one");
    peer_keep(p, &app);
    ok(memcmp(p->got, data, 300) == 0, "the bytes");

    p->starve = 1000;
    is_int(peer_answer(p, data, 300, 300), 0, "without a buffer");
    is_int(p->rc, V2_YIELD, "output waits");
    p->starve = 0;
    is_int(peer_answer(p, data, 1, 1), 301, "and goes when there is one");

    if (version == TLS1_2_VERSION) {
        p->starve = 1;
        is_int(peer_send(p, data, 300, 300, 100000), V2_YIELD,
               "input waits too");
        is_int(peer_run(p), V2_AGAIN, "and comes later");
        is_int(p->got_n, 600, "whole");
    }

    peer_free(p);
}


static void
test_key_update(void)
{
    int           i;
    peer_t       *p;
    peer_conf_t   conf = { NULL, NULL, TLS1_3_VERSION, NULL };

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "handshake");

    for (i = 0; i < 40; i++) {
        SSL_key_update(p->ssl, i & 1 ? SSL_KEY_UPDATE_REQUESTED
                                     : SSL_KEY_UPDATE_NOT_REQUESTED);
        (void) peer_send(p, data + i * 100, 100, 100, i % 7 + 1);
        (void) peer_answer(p, data + i * 100, 100, 33);
        (void) peer_down(p);
    }

    ok(p->got_n == 4000 && memcmp(p->got, data, 4000) == 0,
       "40 KeyUpdates: upload");
    ok(p->back_n == 4000 && memcmp(p->back, data, 4000) == 0, "download");

    for (i = 0; i < 40 && p->rc != V2_ERROR; i++) {
        SSL_key_update(p->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
        (void) SSL_do_handshake(p->ssl);
        (void) peer_up(p, 1000);
    }

    is_int(p->rc, V2_ERROR, "too many without data: %s", p->view.req.why);
    is_int(i, 33, "after 32");
    peer_free(p);
}


/* A slice with `end` ends its record, whatever is behind it. */

static void
test_units(int version)
{
    int           n;
    size_t        i, off;
    peer_t       *p;
    v2_buf_t     *b;
    v2_slice_t   *s;
    v2_chain_t    wire;
    peer_conf_t   conf = { NULL, NULL, version, NULL };

    static const struct {
        uint32_t   len;
        unsigned   end;
    } t[] = {
        { 100, 1 }, { 200, 0 }, { 300, 1 }, { 16384, 1 }, { 20000, 1 },
        { 5, 0 }, { 6, 0 }
    };

    static const int  records[] = { 100, 500, 16384, 16384, 3616, 11 };

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "handshake");
    is_int(p->view.req.tls_version, version, "the version is told");

    for (i = off = 0; i < v2_nelems(t); i++, off += 50000) {
        b = v2_buf_mem(t[i].len);
        memcpy(b->data + V2_BUF_HEAD, data + off, t[i].len);
        s = v2_chain_add(&p->layer.app, b, V2_BUF_HEAD, t[i].len, 0);
        s->end = t[i].end & 1;
    }

    while (p->layer.app.head != NULL) {
        v2_chain_init(&wire);
        (void) v2_tls_codec.out(&p->layer, &p->layer.app, &wire);
        v2_chain_move(&p->sent, &wire);
    }

    peer_flush(p);

    for (i = 0; i < v2_nelems(records); i++) {
        n = SSL_read(p->ssl, p->back, 65536);
        is_int(n, records[i], "record %zu", i);
    }

    ok(memcmp(p->back, data + 250000, 5) == 0, "bytes");
    peer_free(p);
}


/* When the way out goes on without the layer, it answers nothing there. */

static void
test_silent(void)
{
    peer_t       *p;
    peer_conf_t   conf = { NULL, NULL, TLS1_3_VERSION, NULL };

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "handshake");
    p->layer.out_gone = 1;

    SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
    is_int(peer_send(p, data, 100, 100, 1000), V2_AGAIN, "KeyUpdate, data");
    is_int(p->got_n, 100, "are read");
    is_int(BIO_pending(p->in), 0, "and not answered");
    is_int(peer_raw(p, "\x17\3\3\0\x20" "forged record, forged record..., ",
                    37, 37), V2_ERROR, "a forged record");
    is_int(BIO_pending(p->in), 0, "has no alert");
    peer_free(p);
}


/* Tickets, were they on, use application keys before the handshake ends; and
 * without its secrets TLS 1.3 stays in libssl. Data must flow in both. */

static void
test_leaving(int tickets)
{
    peer_t       *p;
    v2_tls_t     *st;
    peer_conf_t   conf = { NULL, NULL, TLS1_3_VERSION, NULL };

    if (tickets) {
        SSL_CTX_clear_options(peer_tls->ssl, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(peer_tls->ssl, 3);

    } else {
        SSL_CTX_set_keylog_callback(peer_tls->ssl, NULL);
    }

    p = peer_new(&conf);
    st = p->layer.state;

    ok(peer_handshake(p, 1), "handshake %s", tickets ? "with tickets"
                                                     : "without secrets");
    ok((st->ssl == NULL) == tickets, "TLS 1.3 %s libssl",
       tickets ? "leaves" : "stays in");
    is_int(st->rl.out.seq, tickets ? 3 : 0, "next record");
    is_int(peer_send(p, data, 50000, 9000, 999), V2_AGAIN, "upload");
    is_int(peer_answer(p, data, 50000, 9000), 50000, "download");
    is_int(peer_down(p), SSL_ERROR_WANT_READ, "read");
    ok(p->got_n == 50000 && memcmp(p->got, data, 50000) == 0, "bytes up");
    ok(p->back_n == 50000 && memcmp(p->back, data, 50000) == 0,
       "bytes down");

    if (!tickets) {
        SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
        is_int(peer_send(p, data, 10, 10, 999), V2_AGAIN, "KeyUpdate");
        is_int(peer_answer(p, data, 10, 10), 10, "is answered");
        is_int(peer_down(p), SSL_ERROR_WANT_READ, "read");
        is_int(p->back_n, 50010, "by libssl");
    }

    peer_free(p);

    SSL_CTX_set_options(peer_tls->ssl, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(peer_tls->ssl, 0);
    SSL_CTX_set_keylog_callback(peer_tls->ssl, v2_tls_on_secret);
}


/* Contexts that change under open connections. */

static void
test_renewal(void)
{
    char           why[256];
    peer_t        *p, *q;
    v2_tls_ctx_t  *saved;
    peer_conf_t    conf = { NULL, NULL, TLS1_2_VERSION, NULL };

    saved = peer_tls;
    peer_tls = peer_ctx(cert2, key2, NULL, 0, why, sizeof(why));

    p = peer_new(&conf);
    ok(peer_handshake(p, 100000), "a connection under the old certificate");
    q = peer_new(&conf);
    (void) SSL_do_handshake(q->ssl);
    (void) peer_up(q, 100000);

    v2_tls_ctx_destroy(peer_tls);
    peer_tls = saved;

    ok(peer_handshake(q, 100000), "a handshake in between ends in order");
    is_int(peer_send(p, data, 1000, 1000, 100000), V2_AGAIN,
           "the open one goes on");
    is_int(p->got_n, 1000, "with its data");

    peer_free(p);
    peer_free(q);
}


/* libssl's own state of clients weighs more than ours: only the server's part
 * is measured, by closing it. */

static void
test_memory(int version)
{
    int              i, n;
    size_t           before, with, rest;
    peer_t         **all;
    peer_conf_t      conf = { "a.example.org", NULL, version, NULL };

    n = 1000;
    all = calloc((size_t) n, sizeof(peer_t *));

    for (i = 0; i < n; i++) {
        all[i] = peer_new(&conf);
        (void) peer_handshake(all[i], 100000);
        (void) peer_send(all[i], data, 1000, 1000, 100000);
        (void) peer_answer(all[i], data, 1000, 1000);
        (void) peer_down(all[i]);
    }

    with = mallinfo2().uordblks;

    for (i = 0; i < n; i++) {
        v2_tls_codec.close(&all[i]->layer);
        free(all[i]->layer.state);
        all[i]->layer.state = NULL;
    }

    before = mallinfo2().uordblks;
    rest = (with - before) / (size_t) n;

    diag("TLS 1.%d: %zu bytes of heap per idle connection (state %zu)",
         version - TLS1_VERSION, rest, v2_tls_codec.state_size);
    ok(version == TLS1_2_VERSION ? rest < 20000 : rest < 2048,
       "an idle connection is small");

    for (i = 0; i < n; i++) {
        all[i]->layer.state = calloc(1, v2_tls_codec.state_size);
        peer_free(all[i]);
    }

    free(all);
}


int
main(void)
{
    char      why[256];
    unsigned  i;

    static const struct {
        size_t  piece, seg;
    } sizes[] = {
        { 16384, 1000000 }, { 16384, 16896 }, { 1000, 16384 },
        { 16384, 1460 }, { 4093, 4096 }, { 1, 100000 }
    };

    peer_setup();
    peer_fill(data, sizeof(data), 1);

    test_certs();
    test_sharing();

    peer_tls = peer_ctx(cert, key, NULL, 0, why, sizeof(why));
    ok(peer_tls != NULL, "a context");

    for (i = 0; i < v2_nelems(sizes) - 1; i++) {
        test_transfer(TLS1_3_VERSION, NULL, sizes[i].piece, sizes[i].seg);
        test_transfer(TLS1_2_VERSION, NULL, sizes[i].piece, sizes[i].seg);
    }

    test_transfer(TLS1_3_VERSION, NULL, 9000, 1);
    test_transfer(TLS1_2_VERSION, NULL, 9000, 1);
    test_transfer(TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", 9000, 999);
    test_transfer(TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", 9000, 999);
    test_transfer(TLS1_2_VERSION, "ECDHE-ECDSA-AES256-SHA", 16384, 9999);

    test_names(TLS1_2_VERSION);
    test_names(TLS1_3_VERSION);
    test_garbage();
    test_forged(TLS1_2_VERSION);
    test_forged(TLS1_3_VERSION);
    test_one_unit(TLS1_2_VERSION);
    test_one_unit(TLS1_3_VERSION);
    test_units(TLS1_2_VERSION);
    test_units(TLS1_3_VERSION);
    test_key_update();
    test_silent();
    test_leaving(1);
    test_leaving(0);
    test_renewal();
    test_memory(TLS1_2_VERSION);
    test_memory(TLS1_3_VERSION);

    v2_tls_ctx_destroy(peer_tls);
    v2_tls13_trim();
    is_int(v2_buf_free_n(V2_BUF_SMALL), v2_buf_count(V2_BUF_SMALL),
           "all small buffers are back");
    is_int(v2_buf_free_n(V2_BUF_LARGE), v2_buf_count(V2_BUF_LARGE),
           "all large buffers are back");
    is_int(v2_buf_mem_bytes(), 0, "and all memory");

    free(cert);
    free(key);
    free(cert2);
    free(key2);
    v2_buf_done();

    return done_testing();
}
