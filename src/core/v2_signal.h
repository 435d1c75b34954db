/* The signals of the master: one table from which come the handlers, the words
 * of -s and the lines of the manual. A handler sets its flag and nothing
 * else; the loop of the master acts on it. Children start with the defaults
 * (v2_signal_child). */

#ifndef V2_SIGNAL_H
#define V2_SIGNAL_H

#include <signal.h>

typedef struct {
    int                      signo;
    const char              *name;      /* "TERM" */
    const char              *word;      /* of -s, or NULL */
    volatile sig_atomic_t   *flag;
    const char              *text;      /* what it does */
} v2_signal_t;

extern const v2_signal_t  v2_signals[];         /* signo 0 at the end */

extern volatile sig_atomic_t  v2_sig_stop, v2_sig_quit, v2_sig_reload,
    v2_sig_reopen, v2_sig_upgrade, v2_sig_winch, v2_sig_child;

/* Installs the handlers and blocks their signals; `wait` is the mask under
 * which ppoll() lets them in. V2_OK or V2_ERROR. */
v2_int_t  v2_signal_init(sigset_t *wait);

/* In a child after fork: TERM and QUIT as by default, the signals that are
 * meant for the master ignored, nothing blocked. */
void      v2_signal_child(void);

/* -s WORD: sends the signal to the process named in pid_file. The exit code;
 * faults are logged. */
int       v2_signal_send(const char *word, const char *pid_file);

#endif
