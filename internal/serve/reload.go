package serve

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"syscall"
	"time"
)

// Reload replaces the configuration without dropping clients. Everything is
// checked first; with an error the server goes on as it was.
//
// Listeners keep their sockets when their name and URL stay the same; changed
// options apply to connections to come. Clients of listeners that are gone
// stay connected. Methods of authentication are made anew, so password files,
// ACL files and certificates are read again; new rights apply to everybody at
// once. Gateways that can take new settings use them for clients to come. restart
// lists the sections with changes that only a restart brings into effect.
func (s *Server) Reload(ctx context.Context, cfg Config) (restart []string, err error) {
	p, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil, ErrEnded
	}
	d := s.compare(p)
	undo, err := s.hold(ctx, p)
	var opened []*running
	if err == nil {
		opened, err = s.openFor(ctx, d)
	}
	if err != nil {
		undo()
		return nil, err
	}
	for i, r := range d.kept {
		r.plan = d.keptPlans[i]
		if err := r.Apply(r.plan.cfg); err != nil { // the check has just tried them out
			s.log.Error("listener options not applied", "listener", r.name(), "err", err)
		}
	}
	restart = append(s.reloadGateways(p), s.needRestart(p)...)
	s.cfg = p
	s.admitLocked(p, s.arrange(p, append(opened, d.kept...)))
	s.broker.SetAuthorizer(p.auth.authorizer())
	for _, r := range opened {
		s.launch(r)
	}
	s.closeAll(d.gone)
	s.account(d.gone)
	s.letGo(p)
	return restart, nil
}

// changes is what a new configuration means for the listeners.
type changes struct {
	added     []*planned
	kept      []*running
	keptPlans []*planned // of kept
	gone      []*running
}

func (s *Server) compare(p *plan) changes {
	d := changes{gone: slices.Clone(s.running)}
	for _, pl := range p.listeners {
		i := slices.IndexFunc(d.gone, func(r *running) bool {
			return r.plan.key == pl.key && r.plan.endpoint.String() == pl.endpoint.String()
		})
		if i < 0 {
			d.added = append(d.added, pl)
			continue
		}
		d.kept = append(d.kept, d.gone[i])
		d.keptPlans = append(d.keptPlans, pl)
		d.gone = slices.Delete(d.gone, i, i+1)
	}
	return d
}

// openFor opens what has been added. When an address is taken by a listener
// that is to go, that one goes first; should the new one not open even then,
// the old ones come back.
func (s *Server) openFor(ctx context.Context, d changes) ([]*running, error) {
	opened, err := openAll(ctx, d.added, nil)
	if err == nil || len(d.gone) == 0 || !errors.Is(err, syscall.EADDRINUSE) {
		return opened, err
	}
	s.closeAll(d.gone)
	if opened, err = openFreed(ctx, d.added); err == nil {
		return opened, nil
	}
	for _, r := range d.gone {
		again, reopenErr := open(ctx, r.plan.at(r), new(inheritance))
		if reopenErr != nil {
			err = errors.Join(err, reopenErr)
			continue
		}
		s.running[slices.Index(s.running, r)] = again
		s.launch(again)
	}
	return nil, err
}

// openFreed is openAll for addresses that a moment ago were taken by listeners
// of ours: datagram sockets outlive their listeners for a second.
func openFreed(ctx context.Context, pls []*planned) ([]*running, error) {
	for end := time.Now().Add(2 * time.Second); ; {
		opened, err := openAll(ctx, pls, nil)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(end) {
			return opened, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// at is pl with the address that r had, which port 0 does not tell.
func (pl *planned) at(r *running) *planned {
	again := *pl
	again.url = r.URL()
	return &again
}

// arrange puts rs into the order of the configuration.
func (s *Server) arrange(p *plan, rs []*running) []*running {
	slices.SortStableFunc(rs, func(a, b *running) int {
		return slices.Index(p.listeners, a.plan) - slices.Index(p.listeners, b.plan)
	})
	return rs
}

// admit brings the rules of p into effect for rs, which are all listeners.
func (s *Server) admit(p *plan, rs []*running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admitLocked(p, rs)
}

func (s *Server) admitLocked(p *plan, rs []*running) {
	if k := p.auth.door.keeper; k != nil {
		k.TakeOver(s.keeper, p.auth.chain.Knows)
	}
	s.keeper = p.auth.door.keeper
	s.running = rs
	s.gate.rules.Store(newGateRules(&p.auth, rs))
}

// reloadGateways gives changed settings to the gateways and lists the sections of
// those that need a restart for them.
func (s *Server) reloadGateways(p *plan) (restart []string) {
	for _, g := range p.Builtin.Gateways {
		is := p.gateways[g.Protocol]
		if reflect.DeepEqual(s.inEffect[g.Protocol], is) {
			continue
		}
		done, err := g.reload(s.gateways[g.Protocol], is)
		if err != nil { // the check has found nothing wrong
			s.log.Error("settings not applied", "section", g.Protocol, "err", err)
		}
		if !done || err != nil {
			restart = append(restart, g.Protocol)
			continue
		}
		s.inEffect[g.Protocol] = is
	}
	return restart
}

// needRestart lists the sections of p that differ from those of the start,
// which are in effect until the end.
func (s *Server) needRestart(p *plan) []string {
	var names []string
	differ := func(name string, was, is any) {
		if !reflect.DeepEqual(was, is) {
			names = append(names, name)
		}
	}
	differ("broker", s.started.Broker, p.Broker)
	differ("store", []any{s.started.Config.Store, s.started.settings}, []any{p.Config.Store, p.settings})
	return names
}

func (s *Server) closeAll(rs []*running) {
	for _, r := range rs {
		if err := r.Close(); err != nil {
			s.log.Error("listener not closed", "listener", r.name(), "err", err)
		}
	}
}
