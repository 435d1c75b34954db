/* HTTP of the panel process, the only file that knows libcurl.
 *
 * Invariants
 *  1. A request is in exactly one place: waiting for its host (no handle), or
 *     in the multi handle. done is called once, from v2_http_wait.
 *  2. At most one GET of a host is open, unless that one has been open for a
 *     second: then one more may start, so that a panel that hangs for one
 *     node does not stop the others.
 *  3. `sent` is true only when the kernel, or TLS, took the last byte of the
 *     body: then the panel may have booked it.
 *  4. No redirect is followed and nothing is sent twice. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_log.h"
#include "v2_time.h"
#include "v2_panel_http.h"
#include "v2_panel_text.h"

#include <curl/curl.h>

#define V2_HTTP_SLOW_MS     1000    /* a GET open for so long is passed by */
#define V2_HTTP_HOST_MAX    8       /* GETs of one host open at once */
#define V2_HTTP_FIRST       4096

#ifndef V2_VERSION
#define V2_VERSION          "0"
#endif

typedef struct v2_hreq_s  v2_hreq_t;

struct v2_hreq_s {
    v2_hreq_t           *next;
    CURL                *easy;          /* NULL: waits for its host */
    struct curl_slist   *headers;
    v2_answer_pt         done;
    void                *owner;
    char                *url, *etag, *send_ip, *body, *batch, *secret;
    size_t               body_len, limit, cap;
    unsigned             timeout_s;
    uint64_t             started_ms;
    unsigned             post:1;
    unsigned             over:1;        /* the answer passed its limit */
    char                 error[CURL_ERROR_SIZE];
    v2_answer_t          a;
};

struct v2_http_s {
    CURLM               *multi;
    v2_hreq_t           *reqs;          /* in order of arrival */
};


static void v2_http_start_ready(v2_http_t *h);
static int v2_http_may_start(const v2_http_t *h, const v2_hreq_t *r);
static size_t v2_http_host_len(const char *url);
static v2_int_t v2_http_start(v2_http_t *h, v2_hreq_t *r);
static v2_int_t v2_http_options(v2_hreq_t *r);
static v2_int_t v2_http_headers(v2_hreq_t *r);
static size_t v2_http_on_body(char *data, size_t size, size_t n, void *arg);
static size_t v2_http_on_header(char *data, size_t size, size_t n, void *arg);
static void v2_http_finish(v2_http_t *h, v2_hreq_t *r, CURLcode code);
static void v2_http_result(v2_hreq_t *r, CURLcode code);
static void v2_http_unlink(v2_http_t *h, v2_hreq_t *r);
static void v2_http_free(v2_http_t *h, v2_hreq_t *r);
static char *v2_http_copy(const char *s, unsigned *failed);


v2_http_t *
v2_http_open(void)
{
    v2_http_t  *h;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        v2_log(V2_LOG_EMERG, NULL, 0, "curl_global_init() failed");
        return NULL;
    }

    h = calloc(1, sizeof(*h));
    if (h == NULL) {
        v2_log(V2_LOG_EMERG, NULL, ENOMEM, "calloc() failed");
        return NULL;
    }

    h->multi = curl_multi_init();
    if (h->multi == NULL) {
        v2_log(V2_LOG_EMERG, NULL, 0, "curl_multi_init() failed");
        free(h);
        return NULL;
    }

    return h;
}


void
v2_http_close(v2_http_t *h)
{
    while (h->reqs != NULL) {
        v2_http_free(h, h->reqs);
    }

    (void) curl_multi_cleanup(h->multi);
    free(h);
    curl_global_cleanup();
}


v2_int_t
v2_http_send(v2_http_t *h, const v2_http_req_t *req)
{
    unsigned     failed;
    v2_hreq_t   *r, **last;

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        v2_log(V2_LOG_ERR, NULL, ENOMEM, "calloc() failed");
        return V2_ERROR;
    }

    failed = 0;
    r->url = v2_http_copy(req->url, &failed);
    r->secret = v2_http_copy(req->secret, &failed);
    r->etag = v2_http_copy(req->etag, &failed);
    r->send_ip = v2_http_copy(req->send_ip, &failed);
    r->batch = v2_http_copy(req->batch, &failed);
    r->done = req->done;
    r->owner = req->owner;
    r->timeout_s = req->timeout_s;
    r->limit = req->limit;
    r->post = (req->body != NULL);

    if (r->post) {
        r->body = malloc(req->len + 1);
        failed |= (r->body == NULL);

        if (r->body != NULL) {
            memcpy(r->body, req->body, req->len);
            r->body_len = req->len;
        }
    }

    for (last = &h->reqs; *last != NULL; last = &(*last)->next) {
        /* to the end */
    }

    *last = r;

    if (failed) {
        v2_log(V2_LOG_ERR, NULL, ENOMEM, "malloc() failed");
        v2_http_free(h, r);
        return V2_ERROR;
    }

    return V2_OK;
}


void
v2_http_cancel(v2_http_t *h, const void *owner)
{
    v2_hreq_t  *r, *next;

    for (r = h->reqs; r != NULL; r = next) {
        next = r->next;

        if (owner != NULL ? r->owner == owner : !r->post) {
            v2_http_free(h, r);
        }
    }
}


void
v2_http_expire(v2_http_t *h)
{
    unsigned  n;

    for (n = v2_http_open_n(h, 0); n > 0 && h->reqs != NULL; n--) {
        v2_http_finish(h, h->reqs, CURLE_OPERATION_TIMEDOUT);
    }
}


void
v2_http_wait(v2_http_t *h, struct curl_waitfd *fds, unsigned n,
    int timeout_ms)
{
    int         running, left, fds_n;
    CURL       *easy;
    CURLMsg    *msg;
    CURLcode    code;
    v2_hreq_t  *r;

    v2_http_start_ready(h);

    (void) curl_multi_perform(h->multi, &running);
    (void) curl_multi_poll(h->multi, fds, n, timeout_ms, &fds_n);
    v2_time_update();
    (void) curl_multi_perform(h->multi, &running);

    while ((msg = curl_multi_info_read(h->multi, &left)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        /* msg is gone after the next call on the handle */
        easy = msg->easy_handle;
        code = msg->data.result;

        for (r = h->reqs; r != NULL && r->easy != easy; r = r->next) {
            /* the one of this handle */
        }

        if (r != NULL) {
            v2_http_finish(h, r, code);
        }
    }

    v2_http_start_ready(h);
}


unsigned
v2_http_open_n(const v2_http_t *h, int posts)
{
    unsigned          n;
    const v2_hreq_t  *r;

    n = 0;

    for (r = h->reqs; r != NULL; r = r->next) {
        n += (!posts || r->post);
    }

    return n;
}


static void
v2_http_start_ready(v2_http_t *h)
{
    v2_hreq_t  *r;

again:

    for (r = h->reqs; r != NULL; r = r->next) {

        if (r->easy != NULL || !v2_http_may_start(h, r)) {
            continue;
        }

        if (v2_http_start(h, r) != V2_OK) {
            v2_http_finish(h, r, CURLE_FAILED_INIT);
            goto again;                 /* done may have changed the list */
        }
    }
}


static int
v2_http_may_start(const v2_http_t *h, const v2_hreq_t *r)
{
    size_t            len;
    unsigned          open;
    const v2_hreq_t  *o;

    if (r->post) {
        return 1;
    }

    len = v2_http_host_len(r->url);
    open = 0;

    for (o = h->reqs; o != NULL; o = o->next) {

        if (o->easy == NULL || o->post || v2_http_host_len(o->url) != len
            || strncasecmp(o->url, r->url, len) != 0)
        {
            continue;
        }

        if (o->started_ms + V2_HTTP_SLOW_MS > v2_now_ms()
            || ++open == V2_HTTP_HOST_MAX)
        {
            return 0;
        }
    }

    return 1;
}


/* Scheme, name and port: what one kept connection serves. */
static size_t
v2_http_host_len(const char *url)
{
    const char  *p;

    p = strstr(url, "://");

    return (p == NULL) ? strlen(url)
                       : (size_t) (p - url) + 3 + strcspn(p + 3, "/?#");
}


static v2_int_t
v2_http_start(v2_http_t *h, v2_hreq_t *r)
{
    r->started_ms = v2_now_ms();

    r->easy = curl_easy_init();
    if (r->easy == NULL) {
        return V2_ERROR;
    }

    if (v2_http_options(r) != V2_OK
        || curl_multi_add_handle(h->multi, r->easy) != CURLM_OK)
    {
        curl_easy_cleanup(r->easy);
        r->easy = NULL;
        return V2_ERROR;
    }

    return V2_OK;
}


static v2_int_t
v2_http_options(v2_hreq_t *r)
{
    CURL        *e;
    char         from[96];
    long         rc, ms;
    const char  *ca;

    e = r->easy;
    ms = (long) r->timeout_s * 1000;
    rc = v2_http_headers(r);

    rc |= curl_easy_setopt(e, CURLOPT_URL, r->url);
    rc |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    rc |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    rc |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms);
    rc |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, ms);
    rc |= curl_easy_setopt(e, CURLOPT_USERAGENT, "v2sp/" V2_VERSION);
    rc |= curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    rc |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    rc |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
    rc |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->error);
    rc |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, v2_http_on_body);
    rc |= curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
    rc |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, v2_http_on_header);
    rc |= curl_easy_setopt(e, CURLOPT_HEADERDATA, r);

    /* as Go programs and OpenSSL have it: a panel with a CA of its own */

    ca = getenv("SSL_CERT_FILE");

    if (ca != NULL && ca[0] != '\0') {
        rc |= curl_easy_setopt(e, CURLOPT_CAINFO, ca);
    }

    if (r->send_ip != NULL && r->send_ip[0] != '\0') {
        (void) snprintf(from, sizeof(from), "host!%s", r->send_ip);
        rc |= curl_easy_setopt(e, CURLOPT_INTERFACE, from);
    }

    if (r->post) {
        rc |= curl_easy_setopt(e, CURLOPT_POST, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->body);
        rc |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t) r->body_len);
        rc |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                               (long) CURL_HTTP_VERSION_1_1);
        rc |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    }

    return (rc == 0) ? V2_OK : V2_ERROR;
}


static v2_int_t
v2_http_headers(v2_hreq_t *r)
{
    size_t              i, n;
    const char         *lines[4];
    char                etag[300], batch[96];
    struct curl_slist  *l;

    n = 0;
    lines[n++] = "Accept: application/json";

    if (r->post) {
        lines[n++] = "Content-Type: application/json";
        lines[n++] = "Expect:";

        if (r->batch != NULL) {
            (void) snprintf(batch, sizeof(batch), "X-Batch-Id: %s",
                            r->batch);
            lines[n++] = batch;
        }

    } else if (r->etag != NULL && r->etag[0] != '\0') {
        (void) snprintf(etag, sizeof(etag), "If-None-Match: %s", r->etag);
        lines[n++] = etag;
    }

    for (i = 0; i < n; i++) {
        l = curl_slist_append(r->headers, lines[i]);
        if (l == NULL) {
            return V2_ERROR;
        }
        r->headers = l;
    }

    return V2_OK;
}


static size_t
v2_http_on_body(char *data, size_t size, size_t n, void *arg)
{
    char       *body;
    size_t      cap;
    v2_hreq_t  *r = arg;

    n *= size;

    if (n > r->limit - r->a.len) {
        r->over = 1;
        return 0;
    }

    if (r->a.len + n >= r->cap) {
        cap = v2_max(r->cap + r->cap / 2, r->a.len + n + 1);
        cap = v2_max(cap, V2_HTTP_FIRST);

        body = realloc(r->a.body, cap);
        if (body == NULL) {
            return 0;
        }

        r->a.body = body;
        r->cap = cap;
    }

    memcpy(r->a.body + r->a.len, data, n);
    r->a.len += n;
    r->a.body[r->a.len] = '\0';

    return n;
}


static size_t
v2_http_on_header(char *data, size_t size, size_t n, void *arg)
{
    size_t      len, i;
    v2_hreq_t  *r = arg;

    static const char  name[] = "etag:";

    n *= size;
    len = n;
    i = sizeof(name) - 1;

    if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        r->a.etag[0] = '\0';            /* an earlier answer's (100, proxy) */

    } else if (len > i && strncasecmp(data, name, i) == 0) {

        while (i < len && (data[i] == ' ' || data[i] == '\t')) {
            i++;
        }

        while (len > i && (unsigned char) data[len - 1] <= ' ') {
            len--;
        }

        if (len - i < sizeof(r->a.etag)) {
            memcpy(r->a.etag, data + i, len - i);
            r->a.etag[len - i] = '\0';
        }
    }

    return n;
}


static void
v2_http_finish(v2_http_t *h, v2_hreq_t *r, CURLcode code)
{
    char  empty[1];

    v2_http_result(r, code);
    v2_http_unlink(h, r);

    if (r->easy != NULL) {
        (void) curl_multi_remove_handle(h->multi, r->easy);
        curl_easy_cleanup(r->easy);
        r->easy = NULL;
    }

    if (r->a.body == NULL) {
        empty[0] = '\0';
        r->a.body = empty;
        r->done(r->owner, &r->a);
        r->a.body = NULL;

    } else {
        r->done(r->owner, &r->a);
    }

    v2_http_free(h, r);
}


static void
v2_http_result(v2_hreq_t *r, CURLcode code)
{
    long          status;
    curl_off_t    out;
    const char   *text;
    v2_answer_t  *a;

    a = &r->a;
    status = 0;
    out = 0;

    if (r->easy != NULL) {
        (void) curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
        (void) curl_easy_getinfo(r->easy, CURLINFO_SIZE_UPLOAD_T, &out);
    }

    a->status = (status >= 200) ? (unsigned) status : 0;
    a->sent = (r->easy != NULL && (size_t) out >= r->body_len);
    a->failed = (code != CURLE_OK);
    a->late = (code == CURLE_OPERATION_TIMEDOUT);
    a->tls = (code == CURLE_SSL_CONNECT_ERROR
              || code == CURLE_PEER_FAILED_VERIFICATION);
    a->same = (a->status == 304);

    if (code == CURLE_OK) {
        return;
    }

    text = (r->error[0] != '\0') ? r->error : curl_easy_strerror(code);

    if (r->over) {
        (void) snprintf(a->error, sizeof(a->error),
                        "the answer is longer than %zu bytes", r->limit);
        return;
    }

    v2_text_clean(a->error, sizeof(a->error), text, strlen(text), r->secret);
}


static void
v2_http_unlink(v2_http_t *h, v2_hreq_t *r)
{
    v2_hreq_t  **p;

    for (p = &h->reqs; *p != NULL; p = &(*p)->next) {
        if (*p == r) {
            *p = r->next;
            return;
        }
    }
}


static void
v2_http_free(v2_http_t *h, v2_hreq_t *r)
{
    v2_http_unlink(h, r);

    if (r->easy != NULL) {
        (void) curl_multi_remove_handle(h->multi, r->easy);
        curl_easy_cleanup(r->easy);
    }

    curl_slist_free_all(r->headers);
    free(r->url);
    free(r->secret);
    free(r->etag);
    free(r->send_ip);
    free(r->batch);
    free(r->body);
    free(r->a.body);
    free(r);
}


static char *
v2_http_copy(const char *s, unsigned *failed)
{
    char  *copy;

    if (s == NULL) {
        return NULL;
    }

    copy = strdup(s);
    *failed |= (copy == NULL);

    return copy;
}
