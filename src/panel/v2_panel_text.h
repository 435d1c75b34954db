/* Growing text: URLs, bodies of reports, lines of report files. On lack of
 * memory `failed` is set and further adds do nothing: checked once at the
 * end. */

#ifndef V2_PANEL_TEXT_H
#define V2_PANEL_TEXT_H

typedef struct {
    char       *data;               /* zero-terminated once something is in */
    size_t      len, cap;
    unsigned    failed:1;
} v2_text_t;

void  v2_text_init(v2_text_t *t);
void  v2_text_done(v2_text_t *t);   /* frees and empties */
void  v2_text_add(v2_text_t *t, const char *data, size_t len);
void  v2_text_puts(v2_text_t *t, const char *s);
void  v2_text_uint(v2_text_t *t, uint64_t v);
/* Percent-encodes everything but unreserved characters. */
void  v2_text_url(v2_text_t *t, const char *s);
/* A JSON string with its quotes; control characters and bytes that are not
 * US-ASCII are escaped one by one. */
void  v2_text_json(v2_text_t *t, const char *s);

/* Copies what is printable of `len` bytes into out (size), cut to fit, runs of
 * other bytes as one blank; every occurrence of `secret` ("" or NULL: none)
 * becomes "***". Returns out. */
char  *v2_text_clean(char *out, size_t size, const char *data, size_t len,
    const char *secret);

#endif
