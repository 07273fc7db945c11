package serve

import (
	"context"
	"fmt"
	"os"
	"time"
)

// watchCertificates reloads the certificates of listeners whose files have
// changed. Files are looked at from time to time: that works on every file
// system and with every way of replacing a file.
func (s *Server) watchCertificates(ctx context.Context, seen fingerprints) {
	s.mu.Lock()
	every := s.cfg.CertificateCheck
	s.mu.Unlock()
	if every < 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.checkCertificates(seen)
		}
	}
}

// fingerprints tell whether the files of a listener have changed.
type fingerprints map[*running]string

// checkCertificates loads what has changed since the last call. A pair that
// does not fit, because only half of it has been replaced so far, stays unused
// until one of its files changes again.
func (s *Server) checkCertificates(seen fingerprints) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.running {
		t := r.plan.cfg.TLS
		if t == nil {
			continue
		}
		now := fingerprint(t.CertFile, t.KeyFile, t.ClientCAFile, t.PSKFile)
		before, known := seen[r]
		seen[r] = now
		if !known || before == now {
			continue
		}
		if err := r.Reload(); err != nil {
			s.log.Error("changed certificate files not loaded, the old ones stay in use", "listener", r.name(), "err", err)
			continue
		}
		s.log.Info("certificate files loaded", "listener", r.name())
	}
}

func fingerprint(files ...string) string {
	sum := ""
	for _, f := range files {
		if f == "" {
			continue
		}
		if info, err := os.Stat(f); err == nil {
			sum += fmt.Sprintf("%d %d ", info.Size(), info.ModTime().UnixNano())
		} else {
			sum += "gone "
		}
	}
	return sum
}
