package aclfile

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/router"
)

// Config says where the file is.
type Config struct {
	// Path of the file. Required.
	Path string
}

// Validate returns every problem, each with its name in the configuration.
func (c Config) Validate() error {
	if c.Path == "" {
		return errors.New("path: missing")
	}
	return nil
}

// File authorises by what its file said when it was last read without error.
type File struct {
	path  string
	rules atomic.Pointer[rules]
}

// rules are immutable, but for their spare buffers.
type rules struct {
	users    map[string]*rights // "" is anonymous
	patterns []pattern
	buffers  sync.Pool // of *[]access, for matches of rights.byTopic
}

// few is up to how many topic lines of a user are gone through one by one.
const few = 16

// rights are the topic lines of one user.
type rights struct {
	lines   []line
	byTopic router.Tree[access] // of more lines than few
}

// New reads the file.
func New(c Config) (*File, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &File{path: c.Path}
	return f, f.Reload()
}

// Reload reads the file again. With an error, which for a malformed file joins
// a *SyntaxError per line, all stays as it was. What subscribers may still receive is up
// to the next Authorize for Receive.
func (f *File) Reload() error {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return err
	}
	lines, err := parse(f.path, b)
	if err != nil {
		return err
	}
	f.rules.Store(compile(lines))
	return nil
}

func compile(lines []line) *rules {
	rs := &rules{users: make(map[string]*rights)}
	for _, l := range lines {
		if l.pattern {
			rs.patterns = append(rs.patterns, pattern{l.access, l.filter})
			continue
		}
		u := rs.users[l.user]
		if u == nil {
			u = new(rights)
			rs.users[l.user] = u
		}
		u.lines = append(u.lines, l)
	}
	for _, u := range rs.users {
		for _, l := range u.lines {
			if len(u.lines) > few {
				u.byTopic.Insert(l.filter, l.access)
			}
		}
	}
	return rs
}

// Authorize implements auth.Authorizer. It answers Allow or Deny.
func (f *File) Authorize(_ context.Context, id *auth.Identity, act auth.Action, topic string) auth.Verdict {
	if id == nil || topic == "" {
		return auth.Deny
	}
	rs := f.rules.Load()
	var said, wanted access
	switch act {
	case auth.Publish:
		said, wanted = rs.about(id, topic), write
	case auth.Receive:
		said, wanted = rs.about(id, topic), read
	case auth.Subscribe:
		_, inner, _, err := router.SplitShared(topic)
		if err != nil || router.ValidateFilter(inner) != nil {
			return auth.Deny
		}
		said, wanted = rs.aboutAll(id, inner), read
	}
	if said&deny != 0 || said&wanted == 0 {
		return auth.Deny
	}
	return auth.Allow
}

// about joins what all lines say about a topic name.
func (rs *rules) about(id *auth.Identity, topic string) (said access) {
	if u := rs.users[id.Name]; u != nil {
		said = rs.ofTopic(u, topic)
	}
	for i := range rs.patterns {
		if p := &rs.patterns[i]; said|p.access != said && p.matches(id, topic) {
			said |= p.access
		}
	}
	return said
}

// ofTopic joins what u's lines say about a topic name.
func (rs *rules) ofTopic(u *rights, topic string) (said access) {
	if len(u.lines) <= few {
		for i := range u.lines {
			if l := &u.lines[i]; said|l.access != said && router.Match(l.filter, topic) {
				said |= l.access
			}
		}
		return said
	}
	b, ok := rs.buffers.Get().(*[]access)
	if !ok {
		b = new([]access)
	}
	*b = u.byTopic.Match((*b)[:0], topic)
	for _, a := range *b {
		said |= a
	}
	rs.buffers.Put(b)
	return said
}

// aboutAll joins what lines say about everything that filter can match.
func (rs *rules) aboutAll(id *auth.Identity, filter string) (said access) {
	if u := rs.users[id.Name]; u != nil {
		for _, l := range u.lines {
			if router.Covers(l.filter, filter) {
				said |= l.access
			}
		}
	}
	for i := range rs.patterns {
		if p := &rs.patterns[i]; p.covers(id, filter) {
			said |= p.access
		}
	}
	return said
}
