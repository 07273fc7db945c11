package serve

import (
	"context"
	"time"

	"github.com/iotctl/iotctl/internal/auth"
)

// watchDoor sends clients away who may not stay, once a second.
func (s *Server) watchDoor(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.SendAway()
		}
	}
}

// SendAway ends the connections of those whom the doorkeeper has let in and who
// may not stay.
func (s *Server) SendAway() {
	k := s.Doorkeeper()
	if k == nil {
		return
	}
	if n := s.broker.Revoke(k.Revoked(time.Now())); n > 0 {
		s.log.Info("clients are sent away who may not stay", "count", n)
	}
}

// Doorkeeper is who decides about strangers, nil for nobody.
func (s *Server) Doorkeeper() auth.Doorkeeper {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keeper
}
