//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// backgrounds are the clients that scripts have running, by name.
type backgrounds struct{ sync.Map }

type background struct {
	cmd      *exec.Cmd
	out, err *watchedBuffer
	ended    chan struct{}
}

// start is
//
//	background NAME COMMAND…  run a client of ours with -d and wait until it has
//	                          subscribed
func (b *backgrounds) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: background NAME COMMAND…")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	run := &background{
		cmd: exec.CommandContext(ctx, args[1], append(args[2:], "-d")...),
		out: newWatchedBuffer(), err: newWatchedBuffer(), ended: make(chan struct{}),
	}
	run.cmd.Dir = ts.MkAbs(".")
	run.cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME=/nonexistent", "XDG_STATE_HOME="+ts.MkAbs("."))
	run.cmd.Stdout, run.cmd.Stderr = run.out, run.err
	ts.Check(run.cmd.Start())
	b.Store(ts.MkAbs(args[0]), run)
	go func() {
		_ = run.cmd.Wait()
		cancel()
		close(run.ended)
	}()
	ts.Defer(func() {
		_ = run.cmd.Process.Kill()
		<-run.ended
	})
	for deadline := time.After(servePatience); !strings.Contains(run.err.String(), "SUBACK"); {
		select {
		case <-run.err.more:
		case <-run.ended:
			ts.Fatalf("%q has ended: %s", args, run.err)
		case <-deadline:
			ts.Fatalf("%q does not subscribe: %s", args, run.err)
		}
	}
}

// end is
//
//	ended NAME CODE [SIGNAL]  signal what background has started, if asked to, and
//	                          wait for its end; NAME.out and NAME.err are what
//	                          it has written
func (b *backgrounds) end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: ended NAME CODE [SIGNAL]")
	}
	found, ok := b.Load(ts.MkAbs(args[0]))
	if !ok {
		ts.Fatalf("%s has not been started", args[0])
	}
	run := found.(*background)
	if len(args) > 2 {
		sig, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT}[args[2]]
		if !ok {
			ts.Fatalf("signal %s", args[2])
		}
		ts.Check(run.cmd.Process.Signal(sig))
	}
	select {
	case <-run.ended:
	case <-time.After(servePatience):
		ts.Fatalf("%s does not end: %s", args[0], run.err)
	}
	ts.Check(errors.Join(
		os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(run.out.String()), 0o600),
		os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(run.err.String()), 0o600),
	))
	if code := run.cmd.ProcessState.ExitCode(); strconv.Itoa(code) != args[1] {
		ts.Fatalf("%s ended with %d, not %s: %s", args[0], code, args[1], run.err)
	}
}
