/*
** aside.c: what tasks print while a line is being typed.
**
** The line is taken off the screen before the first text of a turn and put
** back after the turn. Nothing tells of a write to the terminal but the
** functions that do it: print, warn, io.write and file:write. So the prompt
** puts others in their place, once and for all, for `print(s:read())` fetches
** print before it waits. Those that read the terminal have their refusing
** stand-ins only while tasks run inside readline.
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

static void giveway(lua_State *L, int fd, int whole) {
  sock_Prompt *prompt = sock_loop(L)->prompt;
  if (prompt != NULL)
    prompt->giveway(prompt, fd, whole);
}

static void refuse(lua_State *L, int fd) {
  const sock_Prompt *prompt = sock_loop(L)->prompt;
  if (prompt != NULL && prompt->owns(prompt, fd))
    luaL_error(L, "the prompt reads the terminal");
}

/* What is to be written, from `arg` on; wrong arguments are named here, since
** the original does not know by what name it is called. */
static void givewayto(lua_State *L, int arg, int fd) {
  int whole = 1, top = lua_gettop(L);
  for (int i = arg; i <= top; i++) {
    size_t len;
    const char *text = luaL_checklstring(L, i, &len);
    if (len > 0)
      whole = text[len - 1] == '\n';
  }
  if (top >= arg)
    giveway(L, fd, whole);
}

static int aside_print(lua_State *L) {
  giveway(L, fileno(stdout), 1);
  return original(L);
}

static int aside_warn(lua_State *L) {
  luaL_checkstring(L, 1);
  givewayto(L, 1, fileno(stderr));
  return original(L);
}

static int aside_iowrite(lua_State *L) {
  int fd = standard(L, "_IO_output");
  if (fd < 0)
    return luaL_error(L, "default output file is closed");
  givewayto(L, 1, fd);
  return original(L);
}

static int aside_filewrite(lua_State *L) {
  luaL_checkudata(L, 1, LUA_FILEHANDLE);
  int fd = descriptor(L, 1);
  if (fd < 0)
    return luaL_error(L, "attempt to use a closed file");
  givewayto(L, 2, fd);
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
  int stays;
} rows[] = {
    {GLOBAL, "print", aside_print, 1},  {GLOBAL, "warn", aside_warn, 1},
    {IO, "write", aside_iowrite, 1},    {FILES, "write", aside_filewrite, 1},
    {IO, "read", aside_ioread, 0},      {IO, "lines", aside_iolines, 0},
    {FILES, "read", aside_fileread, 0}, {FILES, "lines", aside_fileread, 0},
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

/* One row: the stand-in in the place of a function, or the original in the
** place of its stand-in. */
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

static void exchangeall(lua_State *L, int index, int stays, int in) {
  lua_getiuservalue(L, index, SOCK_LIVESTANDINS);
  for (int i = 0; i < ROWS; i++)
    if (rows[i].stays == stays)
      exchange(L, lua_gettop(L), i, in);
  lua_pop(L, 1);
}

void sock_standinwriters(lua_State *L, int index) {
  exchangeall(L, index, 1, 1);
}

void sock_standinreaders(lua_State *L, int index, int in) {
  exchangeall(L, index, 0, in);
}
