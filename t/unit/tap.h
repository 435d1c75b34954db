/* TAP for unit tests written in C: one header, no library. A test program
 * calls plan(n) or, at its end, done_testing(); its exit code is 0 when every
 * check passed and the number of checks is the planned one.
 *
 *   1. Output goes to stdout one line a check, flushed at once, so that a
 *      crash loses nothing.
 *   2. Each check evaluates its arguments once and returns whether it passed.
 *   3. Checks may be made from one process only; a forked child reports by
 *      its exit code. */

#ifndef V2_TAP_H
#define V2_TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int  tap_planned, tap_run, tap_failed;


#define TAP_USED  __attribute__((unused))

#define ok(cond, ...) \
    tap_ok((cond) ? 1 : 0, #cond, __FILE__, __LINE__, __VA_ARGS__)
#define pass(...) \
    tap_ok(1, "", __FILE__, __LINE__, __VA_ARGS__)
#define fail(...) \
    tap_ok(0, "reached", __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...) \
    tap_int((long long) (got), (long long) (want), __FILE__, __LINE__, \
        __VA_ARGS__)
#define is_str(got, want, ...) \
    tap_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)
#define is_mem(got, want, len, ...) \
    tap_mem((got), (want), (len), __FILE__, __LINE__, __VA_ARGS__)


TAP_USED static void
plan(int n)
{
    tap_planned = n;
    printf("1..%d\n", n);
    fflush(stdout);
}


/* The whole test cannot run here: says why, and ends the program. */
TAP_USED __attribute__((noreturn, format(printf, 1, 2))) static void
skip_all(const char *fmt, ...)
{
    va_list  ap;

    printf("1..0 # SKIP ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    exit(0);
}


TAP_USED __attribute__((format(printf, 1, 2))) static void
diag(const char *fmt, ...)
{
    va_list  ap;

    printf("# ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}


/* One check that is not made here, and the reason. */
TAP_USED __attribute__((format(printf, 1, 2))) static void
skip(const char *fmt, ...)
{
    va_list  ap;

    printf("ok %d # SKIP ", ++tap_run);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}


__attribute__((format(printf, 3, 0))) static int
tap_line(int passed, const char *where, const char *fmt, va_list ap)
{
    printf("%s %d - ", passed ? "ok" : "not ok", ++tap_run);
    vprintf(fmt, ap);
    printf("\n");

    if (!passed) {
        tap_failed++;
        printf("#   at %s\n", where);
    }

    fflush(stdout);

    return passed;
}


TAP_USED __attribute__((format(printf, 5, 6))) static int
tap_ok(int passed, const char *text, const char *file, int line,
    const char *fmt, ...)
{
    int      rc;
    char     where[512];
    va_list  ap;

    snprintf(where, sizeof(where), "%s:%d: %s", file, line, text);
    va_start(ap, fmt);
    rc = tap_line(passed, where, fmt, ap);
    va_end(ap);

    return rc;
}


TAP_USED __attribute__((format(printf, 5, 6))) static int
tap_int(long long got, long long want, const char *file, int line,
    const char *fmt, ...)
{
    int      rc;
    char     where[512];
    va_list  ap;

    snprintf(where, sizeof(where), "%s:%d: got %lld, want %lld", file, line,
             got, want);
    va_start(ap, fmt);
    rc = tap_line(got == want, where, fmt, ap);
    va_end(ap);

    return rc;
}


TAP_USED __attribute__((format(printf, 5, 6))) static int
tap_str(const char *got, const char *want, const char *file, int line,
    const char *fmt, ...)
{
    int      rc, same;
    char     where[1024];
    va_list  ap;

    same = (got == want) || (got && want && strcmp(got, want) == 0);

    snprintf(where, sizeof(where), "%s:%d: got \"%s\", want \"%s\"", file,
             line, got ? got : "(null)", want ? want : "(null)");
    va_start(ap, fmt);
    rc = tap_line(same, where, fmt, ap);
    va_end(ap);

    return rc;
}


TAP_USED __attribute__((format(printf, 6, 7))) static int
tap_mem(const void *got, const void *want, size_t len, const char *file,
    int line, const char *fmt, ...)
{
    int             rc;
    char            where[512];
    size_t          at;
    va_list         ap;
    const uint8_t  *g, *w;

    g = got;
    w = want;

    for (at = 0; at < len && g[at] == w[at]; at++) { /* void */ }

    if (at < len) {
        snprintf(where, sizeof(where), "%s:%d: byte %zu of %zu: got %02x, "
                 "want %02x", file, line, at, len, g[at], w[at]);

    } else {
        where[0] = '\0';
    }

    va_start(ap, fmt);
    rc = tap_line(at == len, where, fmt, ap);
    va_end(ap);

    return rc;
}


/* The end of every test: the exit code of the program. */
TAP_USED static int
done_testing(void)
{
    if (tap_planned == 0) {
        printf("1..%d\n", tap_run);

    } else if (tap_planned != tap_run) {
        printf("# planned %d checks, made %d\n", tap_planned, tap_run);
        tap_failed++;
    }

    fflush(stdout);

    return tap_failed ? 1 : 0;
}


#endif
