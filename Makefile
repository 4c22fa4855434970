# sock: sockets for Lua 5.4. `make help` lists what can be made.
#
# Honoured from the command line or the environment: CC, CFLAGS (in place of
# -O2 -g), CPPFLAGS, LDFLAGS, LUA, LUA_INCDIR, PREFIX, DESTDIR; with CI or
# WERROR set, a warning is an error.

CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
LUA ?= $(shell tools/find-lua interpreter)
LUA_INCDIR ?= $(shell tools/find-lua headers)
BUILD = build

flags := -std=c11 -fPIC -fvisibility=hidden -pthread -Wall -Wextra -Wshadow \
  -Wconversion -Wmissing-prototypes -Wundef -Wwrite-strings -Icsrc
ifneq ($(CI)$(WERROR),)
flags += -Werror
endif

# nodelete: worker threads may outlive the Lua state that loaded the library.
ifeq ($(shell uname -s),Darwin)
link := -bundle -undefined dynamic_lookup
else
link := -shared -Wl,-z,nodelete -pthread
endif

sources := $(sort $(wildcard csrc/*.c csrc/*/*.c))
headers := $(sort $(wildcard csrc/*.h csrc/*/*.h))
modules := $(sort $(wildcard lua/sock/*.lua lua/sock/*/*.lua))
objects = $(sources:csrc/%.c=$(BUILD)/obj/%.o)
library = $(BUILD)/sock/core.so
compile = $(CC) $(flags) $(CFLAGS) $(CPPFLAGS) -I'$(LUA_INCDIR)'

# What makes this checkout's module the one that require "sock" finds.
quote = '$(subst ','\'',$(1))'
lua_path = $(call quote,$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;)
lua_cpath = $(call quote,$(CURDIR)/$(BUILD)/?.so;;)
here = env -u LUA_PATH_5_4 -u LUA_CPATH_5_4 -u LUA_INIT -u LUA_INIT_5_4 \
  LUA_PATH=$(lua_path) LUA_CPATH=$(lua_cpath) LUA=$(LUA)

asan_cflags = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined \
  -fno-sanitize-recover=undefined

.PHONY: all demo test lint format bench asan install clean env help
.PHONY: FORCE now-demo now-test now-bench now-asan now-lint
.PHONY: lint-lua lint-format lint-floors lint-rockspec
.DELETE_ON_ERROR:
.SUFFIXES:

all: $(library) ## build build/sock/core.so

$(library): $(objects) $(BUILD)/obj/how
	@mkdir -p $(@D)
	$(CC) $(link) $(CFLAGS) $(LDFLAGS) -o $@ $(objects)

$(BUILD)/obj/%.o: csrc/%.c $(BUILD)/obj/how
	@mkdir -p $(@D)
	$(compile) -MMD -MP -c -o $@ $<

# Changes when the flags or the list of files do; then all is built anew.
$(BUILD)/obj/how: FORCE
	@tools/need --check build
	@mkdir -p $(@D)
	@how=$(call quote,$(compile) $(link) $(LDFLAGS) $(objects)); \
	  printf '%s\n' "$$how" | cmp -s - $@ || printf '%s\n' "$$how" >$@

-include $(objects:.o=.d)

# These install what is missing, then start make again, so that it sees it.

demo: ## a TCP and a UDP conversation; installs what it needs
	@tools/need build run
	@$(MAKE) --no-print-directory -s now-demo

now-demo: all
	@$(here) tools/demo

test: ## run the specs (SPEC=spec/x_spec.lua: that one); installs what it needs
	@tools/need build run specs
	@$(MAKE) --no-print-directory -s now-test

now-test: all
	@$(here) tools/specs $(SPEC)

asan: ## the specs once more under AddressSanitizer and UBSan
	@tools/need build run specs asan
	@$(MAKE) --no-print-directory -s now-asan BUILD=build/asan CC=gcc \
	  CFLAGS='$(asan_cflags)'

now-asan: all
	@$(here) tools/specs --asan $(SPEC)

bench: ## measure against peers
	@tools/need build run
	@$(MAKE) --no-print-directory -s now-bench

now-bench: all
	@if [ -f bench/run.lua ]; then $(here) $(LUA) bench/run.lua; \
	else echo 'bench/ holds nothing to run yet'; fi

lint: ## luacheck, clang-format, the floors, the rockspec's lists
	@tools/need run lint
	@$(MAKE) --no-print-directory -k now-lint

now-lint: lint-lua lint-format lint-floors lint-rockspec

lint-lua:
	luacheck -q $(shell find lua spec examples bench tools rockspec \
	  -name '*.lua' -o -name '*.rockspec')

lint-format:
	clang-format --dry-run -Werror $(sources) $(headers)

lint-floors:
	$(LUA) tools/lint-floors.lua

lint-rockspec:
	$(LUA) tools/check-rockspec.lua

format: ## bring the C files into their one format
	@tools/need lint
	clang-format -i $(sources) $(headers)

install: all ## install under PREFIX (/usr/local), inside DESTDIR
	install -d '$(DESTDIR)$(PREFIX)/lib/lua/5.4/sock'
	install -d '$(DESTDIR)$(PREFIX)/include'
	install -m 644 csrc/net/sock_transport.h '$(DESTDIR)$(PREFIX)/include'
	install -m 755 $(library) '$(DESTDIR)$(PREFIX)/lib/lua/5.4/sock/core.so'
	for f in $(modules:lua/%=%); do \
	  to='$(DESTDIR)$(PREFIX)/share/lua/5.4/'$$f; \
	  install -d "$${to%/*}" && install -m 644 "lua/$$f" "$$to" || exit 1; \
	done

clean: ## remove what was built
	rm -rf build

env: ## print the two lines for: eval "$(make -s env)"
	@printf '%s\n' $(call quote,export LUA_PATH=$(lua_path)) \
	  $(call quote,export LUA_CPATH=$(lua_cpath))

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 10
