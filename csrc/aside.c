/*
** aside.c: what tasks print while a line is being typed.
**
** The line is taken off the screen before the first text of a turn and put
** back after the turn. Nothing tells of a write to the terminal but the
** functions that do it; so while tasks run inside readline, others stand in
** for print, warn, io.write and file:write, and for those that would read
** the terminal. At all other times the originals stand where they were.
*/
#include "base/platform.h"
#include "prompt.h"

#include <lualib.h>
#include <sys/stat.h>

int sock_owns(const sock_Prompt *face, int fd) {
  const sock_Live *p = (const sock_Live *)face;
  struct stat st;
  return fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
         st.st_rdev == p->terminal;
}

/* A terminal that cannot erase keeps the line, and the text goes below. */
void sock_giveway(sock_Prompt *face, int fd, int whole) {
  sock_Live *p = (sock_Live *)face;
  if (!sock_owns(face, fd))
    return;
  p->whole = (unsigned char)whole;
  if (p->cleared)
    return;
  p->cleared = 1;
  if (p->rl.capability("ce") != NULL)
    (void)p->rl.clearline();
  else
    (void)p->rl.crlf();
  (void)fflush(*p->rl.outstream);
}

void sock_redraw(sock_Live *p) {
  if (!p->cleared)
    return;
  p->cleared = 0;
  (void)fflush(stdout);
  if (!p->whole)
    (void)p->rl.crlf();
  (void)p->rl.redraw();
  (void)fflush(*p->rl.outstream);
}

/* ------------------------------------------------------------ stand-ins */

static int done(lua_State *L, int status, lua_KContext ctx) {
  (void)status, (void)ctx;
  return lua_gettop(L);
}

/* The function that it stands for, with all its arguments. */
static int original(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, done);
  return lua_gettop(L);
}

/* The descriptor of the Lua file at `index`; -1 if there is none. */
static int descriptor(lua_State *L, int index) {
  const luaL_Stream *file = luaL_testudata(L, index, LUA_FILEHANDLE);
  return file != NULL && file->closef != NULL ? fileno(file->f) : -1;
}

/* That of io.input or io.output, by its place in the registry. */
static int standard(lua_State *L, const char *place) {
  lua_getfield(L, LUA_REGISTRYINDEX, place);
  int fd = descriptor(L, -1);
  lua_pop(L, 1);
  return fd;
}

/* Whether the last of the values to be written ends a line. */
static int endsline(lua_State *L) {
  size_t len = 0;
  const char *text =
      lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  return len > 0 && text[len - 1] == '\n';
}

static void giveway(lua_State *L, int fd, int whole) {
  sock_Prompt *prompt = sock_loop(L)->prompt;
  if (prompt != NULL && lua_gettop(L) > 0)
    prompt->giveway(prompt, fd, whole);
}

static void refuse(lua_State *L, int fd) {
  const sock_Prompt *prompt = sock_loop(L)->prompt;
  if (prompt != NULL && prompt->owns(prompt, fd))
    luaL_error(L, "the prompt reads the terminal");
}

static int aside_print(lua_State *L) {
  sock_Prompt *prompt = sock_loop(L)->prompt;
  if (prompt != NULL)
    prompt->giveway(prompt, fileno(stdout), 1);
  return original(L);
}

static int aside_warn(lua_State *L) {
  giveway(L, fileno(stderr), 1);
  return original(L);
}

static int aside_iowrite(lua_State *L) {
  giveway(L, standard(L, "_IO_output"), endsline(L));
  return original(L);
}

static int aside_filewrite(lua_State *L) {
  giveway(L, descriptor(L, 1), endsline(L));
  return original(L);
}

static int aside_ioread(lua_State *L) {
  refuse(L, standard(L, "_IO_input"));
  return original(L);
}

static int aside_iolines(lua_State *L) {
  if (lua_isnoneornil(L, 1))
    refuse(L, standard(L, "_IO_input"));
  return original(L);
}

static int aside_fileread(lua_State *L) {
  refuse(L, descriptor(L, 1));
  return original(L);
}

enum { GLOBAL, IO, FILES };

static const struct {
  int table;
  const char *name;
  lua_CFunction function;
} rows[] = {
    {GLOBAL, "print", aside_print},  {GLOBAL, "warn", aside_warn},
    {IO, "write", aside_iowrite},    {IO, "read", aside_ioread},
    {IO, "lines", aside_iolines},    {FILES, "write", aside_filewrite},
    {FILES, "read", aside_fileread}, {FILES, "lines", aside_fileread},
};

#define ROWS ((int)(sizeof rows / sizeof rows[0]))

/* Pushes a table of the standard library, or something that is none. */
static int pushtable(lua_State *L, int table) {
  if (table == GLOBAL) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  } else if (table == IO) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushliteral(L, LUA_IOLIBNAME);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  } else if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) {
    lua_pushliteral(L, "__index");
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  return lua_istable(L, -1);
}

/*
** index: the pairs, an original at 2i + 1 and what stands in for it at
** 2i + 2. Pushes the latter for the original on top, made anew if that is
** another than the last time: one that has been seen must not change.
*/
static void pushstandin(lua_State *L, int pairs, int i) {
  lua_rawgeti(L, pairs, 2 * i + 1);
  if (!lua_rawequal(L, -1, -2)) {
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, rows[i].function, 1);
    lua_rawseti(L, pairs, 2 * i + 2);
    lua_pushvalue(L, -2);
    lua_rawseti(L, pairs, 2 * i + 1);
  }
  lua_pop(L, 1);
  lua_rawgeti(L, pairs, 2 * i + 2);
}

/* One row, where the table has `pairs`' value of index `from`, or, if that is
** 0, any function: replaced by the other. */
static void exchange(lua_State *L, int pairs, int i, int in) {
  if (pushtable(L, rows[i].table)) {
    lua_pushstring(L, rows[i].name);
    lua_rawget(L, -2); /* table, value */
    lua_rawgeti(L, pairs, 2 * i + 2);
    int stands = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (in && !stands && lua_isfunction(L, -1))
      pushstandin(L, pairs, i);
    else if (!in && stands)
      lua_rawgeti(L, pairs, 2 * i + 1);
    else
      lua_pushvalue(L, -1);
    lua_pushstring(L, rows[i].name);
    lua_insert(L, -2);
    lua_rawset(L, -4);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void exchangeall(lua_State *L, int index, int in) {
  lua_getiuservalue(L, index, SOCK_LIVESTANDINS);
  for (int i = 0; i < ROWS; i++)
    exchange(L, lua_gettop(L), i, in);
  lua_pop(L, 1);
}

void sock_standin(lua_State *L, int index) {
  exchangeall(L, index, 1);
}

void sock_standout(lua_State *L, int index) {
  exchangeall(L, index, 0);
}
