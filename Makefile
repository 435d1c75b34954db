# v2sp. "make" builds with the defaults of configure; "make help" lists the
# targets. Another build folder: make BUILDDIR=objs-debug.

BUILDDIR ?= objs
B        := $(BUILDDIR)
ROOMS    := core limit route panel proto

# Make's own default of CC is not a choice of the user's.

CC_CHOICE := $(if $(filter default,$(origin CC)),,--cc='$(CC)')

# These goals need no build folder.

export CONFIGURE

NOCONF := deps dist clean help demo check check-kernel asan tsan

.PHONY: all unit-bins fuzz-bins demo demo-run check check-run check-kernel \
	test unit e2e bench install uninstall dist asan tsan fuzz lint docs \
	clean deps help kernel-run kernel-bins

.DELETE_ON_ERROR:
.SUFFIXES:

all:

ifneq ($(filter-out $(NOCONF),$(or $(MAKECMDGOALS),all)),)

include $(B)/config.mak

# A changed probe or list runs configure again, with its old arguments.

$(B)/config.mak: configure $(wildcard auto/*) $(wildcard auto/lib/*)
	@mkdir -p $(B)
	CC= CFLAGS= LDFLAGS= ./configure $(or $(V2_CONFIGURE),\
		--builddir=$(B) $(CC_CHOICE) $(CONFIGURE))

endif


# Short lines; V=1 shows the commands.

Q     = $(if $(V),,@)
SAY   = $(if $(V),@:,@printf '  %-5s %s\n')

INCS   = $(addprefix -Isrc/,$(ROOMS)) -I$(B)
CCOMP  = $(CC) $(CFLAGS) $(WARNINGS) $(LIB_CFLAGS) $(INCS)

SRCS  := $(filter-out $(OMIT),$(foreach r,$(ROOMS),$(wildcard src/$(r)/*.c)))
OBJS  := $(SRCS:%.c=$(B)/%.o) $(B)/v2_codecs.o $(B)/v2_panels.o

UNITS := $(wildcard t/unit/*/*.c)
UBINS := $(UNITS:%.c=$(B)/%)

FUZZS := $(wildcard t/fuzz/*.c)
FBINS := $(FUZZS:t/fuzz/%.c=$(B)/fuzz/%)

# All CPUs, unless the user said how many.

JOBS  = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 10
FUZZ_CFLAGS   = -std=gnu11 -O1 -g -Wall -Wextra -DV2_FUZZ=1 \
	-fsanitize=address,undefined -fno-sanitize-recover=undefined


all: $(B)/v2sp

$(B)/v2sp: $(OBJS)
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c $(B)/config.mak
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CCOMP) -MMD -MP -c -o $@ $<

$(B)/%.o: $(B)/%.c $(B)/config.mak
	$(SAY) CC $<
	$(Q)$(CCOMP) -MMD -MP -c -o $@ $<


# Unit tests: each links what its "needs:" line says and nothing else, so
# that a room under work does not stop the tests of another.

$(B)/units.mak: auto/needs $(UNITS) $(B)/config.mak
	@sh auto/needs unit $(UNITS) > $@

$(UBINS): t/unit/tap.h
	$(SAY) LINK $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(TLIBS)

$(B)/t/unit/%.o: t/unit/%.c $(B)/config.mak
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CCOMP) -It/unit -MMD -MP -c -o $@ $<

unit-bins: $(UBINS)


# Programs of one source that the other tests use.

TOOLS := $(patsubst %.c,$(B)/%,$(wildcard t/tool/*.c t/kernel/*.c))

$(TOOLS): $(B)/%: %.c t/unit/tap.h $(B)/config.mak
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CFLAGS) -D_GNU_SOURCE $(WARNINGS) -It/unit $(LDFLAGS) -o $@ $< \
		-pthread

tools: $(TOOLS)


# Fuzz targets, with objects of their own.

$(B)/fuzz.mak: auto/needs $(FUZZS) $(B)/config.mak
	@sh auto/needs fuzz $(FUZZS) > $@

$(FBINS):
	@mkdir -p $(@D)
	$(SAY) LINK $@
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) \
		$(TLIBS)

$(B)/fuzz-o/%.o: %.c $(B)/config.mak
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(LIB_CFLAGS) \
		$(INCS) -MMD -MP -c -o $@ $<

$(B)/fuzz-o/%.o: $(B)/%.c $(B)/config.mak
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link $(LIB_CFLAGS) \
		$(INCS) -MMD -MP -c -o $@ $<

fuzz-bins: $(FBINS)

ifneq ($(filter-out $(NOCONF),$(or $(MAKECMDGOALS),all)),)
ifneq ($(filter-out clean install uninstall,$(MAKECMDGOALS)),)
-include $(B)/units.mak
-include $(B)/fuzz.mak
endif
-include $(shell test -d $(B) && find $(B) -name '*.d' -type f)
endif


# Tests.

unit:
	@BUILDDIR=$(B) MAKE="$(MAKE)" sh t/run-unit.sh

e2e: all tools
	@BUILDDIR=$(B) sh t/run-e2e.sh full

fuzz:
	@BUILDDIR=$(B) MAKE="$(MAKE)" FUZZ_SECONDS=$(FUZZ_SECONDS) \
		sh t/run-fuzz.sh $(FBINS)

lint: all
	@BUILDDIR=$(B) CC="$(CC)" LIB_CFLAGS="$(LIB_CFLAGS)" sh t/lint/run.sh

test: all tools
	@rc=0; \
	BUILDDIR=$(B) MAKE="$(MAKE)" sh t/run-unit.sh || rc=1; \
	BUILDDIR=$(B) sh t/run-e2e.sh quick || rc=1; \
	exit $$rc

check: deps
	@$(MAKE) $(JOBS) --no-print-directory BUILDDIR=$(B) check-run

check-run: all tools
	@BUILDDIR=$(B) MAKE="$(MAKE)" CC="$(CC)" LIB_CFLAGS="$(LIB_CFLAGS)" \
		FUZZ_SECONDS=$(FUZZ_SECONDS) sh t/run-check.sh $(FBINS)

check-kernel:
	@sh auto/deps.sh build kernel
	@$(MAKE) $(JOBS) --no-print-directory BUILDDIR=$(B) kernel-run

kernel-bins: $(B)/t/kernel/smoke $(KERNEL_UNITS:%=$(B)/t/unit/%)

kernel-run: all
	@BUILDDIR=$(B) MAKE="$(MAKE)" sh t/run-kernel.sh

asan:
	@sh auto/deps.sh build check
	@BUILDDIR=$(B)-asan MAKE="$(MAKE)" sh t/run-sanitize.sh asan

tsan:
	@sh auto/deps.sh build check
	@BUILDDIR=$(B)-tsan MAKE="$(MAKE)" sh t/run-sanitize.sh tsan

bench: all
	@BUILDDIR=$(B) sh t/run-bench.sh $(BENCH)


# A server on this machine with one user, and the link for a client.

demo:
	@sh auto/deps.sh build
	@$(MAKE) $(JOBS) --no-print-directory BUILDDIR=$(B) demo-run

demo-run: all
	@exec sh conf/demo/run.sh $(B)/v2sp

deps:
	@sh auto/deps.sh build check


# The man page of the configuration and the full example come from the table
# of keys in the program; the copies are kept, and a test compares them.

docs: all
	$(B)/v2sp --doc-man > $(B)/v2sp.conf.5
	$(B)/v2sp --doc-example > $(B)/config.full.json
	@for f in man/v2sp.conf.5 conf/config.full.json; do \
		cmp -s $(B)/$${f##*/} $$f || cp $(B)/$${f##*/} $$f; \
	done

install: all
	@DESTDIR="$(DESTDIR)" PROGRAM=$(B)/v2sp SBIN_PATH="$(SBIN_PATH)" \
	MAN_PATH="$(MAN_PATH)" CONF_PATH="$(CONF_PATH)" \
	STATE_PATH="$(STATE_PATH)" LOG_PATH="$(LOG_PATH)" \
	PID_PATH="$(PID_PATH)" V2_USER="$(V2_USER)" V2_GROUP="$(V2_GROUP)" \
		sh auto/install.sh install

uninstall:
	@DESTDIR="$(DESTDIR)" PROGRAM=$(B)/v2sp SBIN_PATH="$(SBIN_PATH)" \
	MAN_PATH="$(MAN_PATH)" CONF_PATH="$(CONF_PATH)" \
	STATE_PATH="$(STATE_PATH)" LOG_PATH="$(LOG_PATH)" \
	PID_PATH="$(PID_PATH)" V2_USER="$(V2_USER)" V2_GROUP="$(V2_GROUP)" \
		sh auto/install.sh uninstall

dist:
	@sh auto/dist.sh

clean:
	rm -rf $(B) $(B)-asan $(B)-tsan

help:
	@cat auto/targets
