package main

import (
	"context"
	"errors"
	"time"

	"github.com/iotctl/iotctl/internal/auth/pairing"
	"github.com/iotctl/iotctl/internal/serve"
)

// What iotctl pair has a running broker do.
const (
	commandPairList    = "pair.list"
	commandPairApprove = "pair.approve"
	commandPairReject  = "pair.reject"
	commandPairForget  = "pair.forget"
	commandPairOpen    = "pair.open"
)

// pairPage is how many devices an answer has at most: fewer bytes than an
// answer may have, whatever their names are.
const pairPage = 500

// pairListing asks for the devices after one.
type pairListing struct {
	After uint64 `json:"after,omitempty"`
}

// pairList is what `iotctl pair list --json` prints, of all pages.
type pairList struct {
	Devices []pairing.Entry `json:"devices"`
	Door    *pairing.Door   `json:"door"` // null: shut
}

// pairDecision is about one device. For is in nanoseconds, 0 for good.
type pairDecision struct {
	Device   string        `json:"device"` // code or client identifier
	Listener string        `json:"listener,omitempty"`
	Name     string        `json:"name,omitempty"`
	For      time.Duration `json:"for,omitempty"`
}

// pairDecided has the device, or all that are meant: then nothing was decided.
type pairDecided struct {
	Devices []pairing.Entry `json:"devices"`
	Refused *pairRefusal    `json:"refused,omitempty"`
}

// pairRefusal is why a device cannot be approved, and the code of the one that
// is in the way.
type pairRefusal struct {
	Text string `json:"text"`
	Code string `json:"code,omitempty"`
	Name bool   `json:"name,omitempty"` // it needs another user name
}

// pairOpening opens the door. For is in nanoseconds.
type pairOpening struct {
	For      time.Duration `json:"for"`
	Max      int           `json:"max"`
	Listener string        `json:"listener,omitempty"`
}

var errNoPairing = errors.New("the broker lets no devices ask for approval")

func pairingOf(s *serve.Server) (*pairing.Authenticator, error) {
	a, ok := s.Doorkeeper().(*pairing.Authenticator)
	if !ok {
		return nil, errNoPairing
	}
	return a, nil
}

func answerPairList(_ context.Context, s *serve.Server, q pairListing) (pairList, error) {
	a, err := pairingOf(s)
	if err != nil {
		return pairList{}, err
	}
	return pairList{Devices: a.List(q.After, pairPage), Door: a.Door()}, nil
}

func answerPairApprove(_ context.Context, s *serve.Server, q pairDecision) (pairDecided, error) {
	return decidePair(s, q, func(a *pairing.Authenticator, code string) (pairing.Entry, error) {
		return a.Approve(code, pairing.Approval{Name: q.Name, For: q.For})
	})
}

func answerPairReject(_ context.Context, s *serve.Server, q pairDecision) (pairDecided, error) {
	return decidePair(s, q, (*pairing.Authenticator).Reject)
}

func answerPairForget(_ context.Context, s *serve.Server, q pairDecision) (pairDecided, error) {
	return decidePair(s, q, (*pairing.Authenticator).Forget)
}

// decidePair does something about the one device that q means.
func decidePair(s *serve.Server, q pairDecision, do func(*pairing.Authenticator, string) (pairing.Entry, error)) (pairDecided, error) {
	a, err := pairingOf(s)
	if err != nil {
		return pairDecided{}, err
	}
	found := a.Find(q.Device, q.Listener)
	if len(found) != 1 {
		return pairDecided{Devices: found[:min(len(found), pairPage)]}, nil
	}
	e, err := do(a, found[0].Code)
	var taken *pairing.TakenError
	var name *pairing.NameError
	switch {
	case errors.As(err, &taken):
		return pairDecided{Devices: found, Refused: &pairRefusal{Text: err.Error(), Code: taken.Code}}, nil
	case errors.As(err, &name):
		return pairDecided{Devices: found, Refused: &pairRefusal{Text: err.Error(), Name: true}}, nil
	case err != nil:
		return pairDecided{}, err
	}
	s.SendAway()
	return pairDecided{Devices: []pairing.Entry{e}}, nil
}

func answerPairOpen(_ context.Context, s *serve.Server, q pairOpening) (struct{}, error) {
	a, err := pairingOf(s)
	if err != nil {
		return struct{}{}, err
	}
	return struct{}{}, a.Open(q.For, q.Max, q.Listener)
}
