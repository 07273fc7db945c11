package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"
)

// Process is what surrounds a server that is a process of its own.
type Process struct {
	// Signals: SIGHUP reloads, any other ends the server, a second one at once.
	Signals <-chan os.Signal
	// Load makes the configuration anew for a reload.
	Load func() (Config, error)
	// Ready is called when clients can connect, after the start, where an error
	// ends the server, and after a reload.
	Ready func(*Server) error
	// Level follows the configuration on reload; nil: it does not.
	Level  *slog.LevelVar
	Notify *Notifier
}

// SignalError is what Run returns when a second signal has cut the end short.
type SignalError struct{ Signal os.Signal }

// Error implements error.
func (e *SignalError) Error() string { return fmt.Sprintf("ended at once by signal: %v", e.Signal) }

// Run starts a server and keeps it until a signal, ctx or a failure ends it.
func (p Process) Run(ctx context.Context, cfg Config) error {
	s, err := Start(ctx, cfg)
	if err != nil {
		return err
	}
	log := s.log
	if p.Ready != nil {
		if err := p.Ready(s); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	p.warn(log, p.Notify.Ready(s.status()))
	var alive <-chan time.Time
	if d := p.Notify.Interval(); d > 0 {
		tick := time.NewTicker(d)
		defer tick.Stop()
		alive = tick.C
	}
	heap := newHeap()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	var last os.Signal
	for {
		select {
		case <-look.C:
			heap.adapt()
		case <-s.Done():
			if err := s.Wait(); !errors.Is(err, ErrAborted) {
				return err
			}
			return &SignalError{last}
		case <-alive:
			p.warn(log, p.Notify.Alive())
		case sig := <-p.Signals:
			switch {
			case sig == syscall.SIGHUP && last == nil:
				p.reload(ctx, s)
			case sig == syscall.SIGHUP:
			case last == nil:
				last = sig
				log.Info("the server ends", "signal", sig.String())
				p.warn(log, p.Notify.Stopping())
				s.Stop()
			default:
				last = sig
				s.Abort()
			}
		}
	}
}

// reload brings a new configuration into effect, or logs what is wrong with
// it.
func (p Process) reload(ctx context.Context, s *Server) {
	p.warn(s.log, p.Notify.Reloading())
	defer func() { p.warn(s.log, p.Notify.Ready(s.status())) }()
	cfg, err := p.Load()
	var restart []string
	if err == nil {
		restart, err = s.Reload(ctx, cfg)
	}
	var list Problems
	switch {
	case errors.As(err, &list):
		for _, problem := range list {
			s.log.Error("the configuration stays as it was", "problem", problem.Error())
		}
		return
	case err != nil:
		s.log.Error("the configuration stays as it was", "problem", err.Error())
		return
	}
	if p.Level != nil {
		p.Level.Set(cfg.Log.Level)
	}
	s.log.Info("configuration reloaded", "ports", len(s.URLs()))
	if p.Ready != nil {
		if err := p.Ready(s); err != nil {
			s.log.Error("open ports not announced", "err", err)
		}
	}
	for _, section := range restart {
		s.log.Warn("a changed section takes effect at the next start", "section", section)
	}
}

func (p Process) warn(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("systemd not told", "err", err)
	}
}

func (s *Server) status() string { return fmt.Sprintf("%d ports open", len(s.URLs())) }
