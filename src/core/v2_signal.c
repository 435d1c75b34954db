/* Signals of the master, and -s. See v2_signal.h. */

#include "v2_config.h"
#include "v2_core.h"
#include "v2_signal.h"
#include "v2_log.h"
#include "v2_pidfile.h"

static void v2_signal_handler(int signo);

volatile sig_atomic_t  v2_sig_stop, v2_sig_quit, v2_sig_reload, v2_sig_reopen,
    v2_sig_upgrade, v2_sig_winch, v2_sig_child;

const v2_signal_t  v2_signals[] = {
    { SIGTERM,  "TERM",  "stop",   &v2_sig_stop,
      "fast stop: connections are closed, all traffic is reported" },
    { SIGINT,   "INT",   NULL,     &v2_sig_stop,
      "the same" },
    { SIGQUIT,  "QUIT",  "quit",   &v2_sig_quit,
      "graceful stop: no new connections, open ones may end" },
    { SIGHUP,   "HUP",   "reload", &v2_sig_reload,
      "reads the configuration again" },
    { SIGUSR1,  "USR1",  "reopen", &v2_sig_reopen,
      "opens the log files again" },
    { SIGUSR2,  "USR2",  NULL,     &v2_sig_upgrade,
      "binary upgrade (not built yet)" },
    { SIGWINCH, "WINCH", NULL,     &v2_sig_winch,
      "drains the workers (not built yet)" },
    { SIGCHLD,  "CHLD",  NULL,     &v2_sig_child,
      "a child ended" },
    { 0, NULL, NULL, NULL, NULL }
};


v2_int_t
v2_signal_init(sigset_t *wait)
{
    sigset_t            block;
    struct sigaction    sa;
    const v2_signal_t  *s;

    (void) sigemptyset(&block);

    memset(&sa, 0, sizeof(struct sigaction));
    sa.sa_handler = v2_signal_handler;
    (void) sigemptyset(&sa.sa_mask);

    for (s = v2_signals; s->signo != 0; s++) {
        (void) sigaddset(&block, s->signo);

        if (sigaction(s->signo, &sa, NULL) == -1) {
            v2_log(V2_LOG_EMERG, NULL, errno, "sigaction(SIG%s) failed",
                   s->name);
            return V2_ERROR;
        }
    }

    (void) signal(SIGPIPE, SIG_IGN);

    if (sigprocmask(SIG_BLOCK, &block, wait) == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "sigprocmask() failed");
        return V2_ERROR;
    }

    for (s = v2_signals; s->signo != 0; s++) {
        (void) sigdelset(wait, s->signo);
    }

    return V2_OK;
}


void
v2_signal_child(void)
{
    sigset_t            none;
    const v2_signal_t  *s;

    for (s = v2_signals; s->signo != 0; s++) {
        *s->flag = 0;

        (void) signal(s->signo,
                      s->signo == SIGTERM || s->signo == SIGQUIT
                      || s->signo == SIGCHLD
                      ? SIG_DFL : SIG_IGN);
    }

    (void) sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}


int
v2_signal_send(const char *word, const char *pid_file)
{
    pid_t               pid;
    const v2_signal_t  *s;

    for (s = v2_signals; s->signo != 0; s++) {
        if (s->word != NULL && strcmp(s->word, word) == 0) {
            break;
        }
    }

    if (s->signo == 0) {
        v2_log(V2_LOG_EMERG, NULL, 0, "unknown signal \"%s\" after -s: use "
               "stop, quit, reload or reopen", word);
        return 1;
    }

    pid = v2_pidfile_read(pid_file);

    if (pid <= 0) {
        return 1;
    }

    if (kill(pid, s->signo) == -1) {
        v2_log(V2_LOG_EMERG, NULL, errno, "kill(%d, SIG%s) failed", (int) pid,
               s->name);
        return 1;
    }

    return 0;
}


static void
v2_signal_handler(int signo)
{
    const v2_signal_t  *s;

    for (s = v2_signals; s->signo != 0; s++) {
        if (s->signo == signo) {
            *s->flag = 1;
            return;
        }
    }
}
