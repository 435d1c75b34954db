/* needs: src/core/v2_core.c src/core/v2_log.c src/core/v2_time.c */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_panel_json.h"
#include "../tap.h"
#include "../../../src/panel/v2_panel_scan.c"


static v2_int_t
whole(const char *text)
{
    v2_js_t      js;
    v2_int_t     rc;
    v2_js_val_t  v;

    v2_js_init(&js, text, strlen(text));
    rc = v2_js_value(&js, &v);

    return (rc == V2_OK && v2_js_end(&js)) ? V2_OK : V2_ERROR;
}


static void
test_form(void)
{
    size_t  i;

    static const char *const  good[] = {
        "{}", "[]", " { \"a\" : [ 1 , -2.5e+3 , null , true , false ] } ",
        "\"\\\"\\\\\\u0041\"", "0", "{\"a\":{\"b\":[[],{}]}}",
        "\xef\xbb\xbf{\"a\":1}"
    };
    static const char *const  bad[] = {
        "", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "[1,]",
        "[,1]", "{,}", "{\"a\" 1}", "{a:1}", "[1 2]", "[1]]", "tru", "nul",
        "\"abc", "\"a\nb\"", "-", "+", "1-2", "<html>", "[1}", "{]", "\"\\",
        "[\"\\\"]"
    };

    for (i = 0; i < v2_nelems(good); i++) {
        is_int(whole(good[i]), V2_OK, "taken: %s", good[i]);
    }

    for (i = 0; i < v2_nelems(bad); i++) {
        is_int(whole(bad[i]), V2_ERROR, "refused: bad[%zu]", i);
    }
}


static void
test_depth(void)
{
    char  text[201];

    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    text[200] = '\0';

    is_int(whole(text), V2_ERROR, "a hundred brackets are too deep");
    is_int(whole(text + 90), V2_ERROR, "ten do not match a hundred");

    memset(text + 110, '\0', 1);
    is_int(whole(text + 90), V2_OK, "ten are fine");
}


/* Every proper prefix of a good text is refused. */
static void
test_prefixes(void)
{
    int          bad;
    size_t       i, len;
    v2_js_t      js;
    v2_js_val_t  v;

    static const char  text[] =
        "{\"users\":[{\"id\":\"1\",\"uuid\":\"a\\u0062c\",\"x\":[1,{\"y\":"
        "null}]},{\"id\":2}],\"n\":12}";

    len = sizeof(text) - 1;
    bad = 0;

    for (i = 0; i < len; i++) {
        v2_js_init(&js, text, i);
        bad += (v2_js_value(&js, &v) == V2_OK && v2_js_end(&js));
    }

    is_int(bad, 0, "no prefix is taken for the whole");
}


static void
test_numbers(void)
{
    size_t       i;
    uint64_t     n;
    v2_js_t      js;
    v2_int_t     rc;
    v2_js_val_t  v;

    static const struct {
        const char  *text;
        v2_int_t     rc;
        uint64_t     n;
    } t[] = {
        { "7", V2_OK, 7 }, { "\"1001\"", V2_OK, 1001 }, { "null", V2_OK, 0 },
        { "10.0", V2_OK, 10 }, { "1e3", V2_OK, 1000 }, { "-1", V2_ERROR, 0 },
        { "\"-1\"", V2_ERROR, 0 }, { "\"\"", V2_ERROR, 0 },
        { "\"12x\"", V2_ERROR, 0 }, { "true", V2_ERROR, 0 },
        { "18446744073709551609", V2_OK, 18446744073709551609u },
        { "99999999999999999999", V2_ERROR, 0 }, { "[]", V2_ERROR, 0 },
        { "1e300", V2_ERROR, 0 }
    };

    for (i = 0; i < v2_nelems(t); i++) {
        v2_js_init(&js, t[i].text, strlen(t[i].text));
        rc = v2_js_value(&js, &v);
        n = 0;

        if (rc == V2_OK) {
            rc = v2_js_uint(&v, &n);
        }

        is_int(rc, t[i].rc, "%s: result", t[i].text);
        ok(n == t[i].n, "%s: value", t[i].text);
    }
}


static void
test_texts(void)
{
    char         out[16];
    v2_js_t      js;
    v2_int_t     rc;
    v2_js_val_t  v;

    static const char  escaped[] = "\"a\\/\\u00e4\\u20ac\\n\"";
    static const char  zero[] = "\"a\\u0000\"", half[] = "\"\\ud800\"";
    static const char  longer[] = "\"0123456789abcdef\"";

    v2_js_init(&js, escaped, sizeof(escaped) - 1);
    (void) v2_js_value(&js, &v);
    rc = v2_js_text(&v, out, sizeof(out));
    is_int(rc, V2_OK, "escapes are read");
    is_str(out, "a/\xc3\xa4\xe2\x82\xac\n", "as UTF-8");

    v2_js_init(&js, zero, sizeof(zero) - 1);
    (void) v2_js_value(&js, &v);
    is_int(v2_js_text(&v, out, sizeof(out)), V2_ERROR, "no zero byte");

    v2_js_init(&js, half, sizeof(half) - 1);
    (void) v2_js_value(&js, &v);
    is_int(v2_js_text(&v, out, sizeof(out)), V2_ERROR, "no half of a pair");

    v2_js_init(&js, longer, sizeof(longer) - 1);
    (void) v2_js_value(&js, &v);
    is_int(v2_js_text(&v, out, sizeof(out)), V2_ERROR, "cut is refused");
    is_int(v2_js_text(&v, out, 0), V2_ERROR, "no room at all");
}


int
main(void)
{
    test_form();
    test_depth();
    test_prefixes();
    test_numbers();
    test_texts();
    done_testing();
}
