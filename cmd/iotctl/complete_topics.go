package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/router"
)

const (
	// completionPatience is how long somebody who has pressed the tabulator waits
	// for the broker.
	completionPatience = 300 * time.Millisecond
	// maxTopics bounds what is offered.
	maxTopics = 500
	// maxOffered is the longest topic that is offered, in bytes.
	maxOffered = 512
)

// completeTopics offers the topics that were used before, those at the same broker
// first, and what the broker says of itself below $SYS, if the line names one.
func completeTopics(p program, given []assignment, word string, filters bool) []string {
	s := completionSettings(p, given)
	broker := ""
	if s != nil {
		broker = s.brokerName()
	}
	var all []string
	for _, topic := range readHistory().topics(broker) {
		if filters || router.ValidateName(topic) == nil {
			all = append(all, topic)
		}
	}
	if s != nil && (word == "" || strings.HasPrefix(word, "$")) {
		all = append(all, systemTopics(s)...)
	}
	var fitting []string
	for _, topic := range all {
		if strings.HasPrefix(topic, word) && harmless(topic) && !slices.Contains(fitting, topic) && len(fitting) < maxTopics {
			fitting = append(fitting, topic)
		}
	}
	return fitting
}

// harmless tells whether a topic means nothing to a shell. Shells put what several
// words have in common into the line as it is, and run what is in the line when they
// complete the next word; so a broker could have a command run, or an option given.
func harmless(topic string) bool {
	if len(topic) > maxOffered {
		return false
	}
	return !strings.ContainsFunc(strings.TrimPrefix(topic, "$"), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/_-.:,@%=+#", r)
	}) && !strings.HasPrefix(topic, "-")
}

// completionSettings are those of a client that asks the broker of the line, or nil:
// if none is named, or a password would have to be asked for, by a program, a key ring
// or on the terminal. Nothing starts because of a tabulator.
func completionSettings(p program, given []assignment) *settings {
	sources, _, err := ownSources(p, given)
	if err != nil {
		return nil
	}
	s := newSettings(progSub, false)
	named := false
	for _, a := range overlay(append(sources, given)...) {
		switch a.option.group {
		case groupConnection, groupSession, groupTLS:
		default:
			continue
		}
		if a.option.long == "id" || a.option.long == "id-prefix" || a.option.long == "disable-clean-session" {
			continue // or it would take over a session
		}
		if s.apply(a) != nil {
			return nil
		}
		named = named || namesBroker([]assignment{a})
	}
	s.topics = []string{"$SYS/#"}
	if !named || s.device != nil || s.askPassword || s.passwordCommand != "" || s.passwordKeyring != "" || s.check() != nil {
		return nil
	}
	return s
}

// systemTopics are the retained messages below $SYS.
func systemTopics(s *settings) []string {
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	var mu sync.Mutex
	var topics []string
	full := make(chan struct{})
	s.quiet, s.reconnect, s.debug = true, 0, false
	e, err := newEngine(s, &terminal{}, func(m client.Message) {
		mu.Lock()
		defer mu.Unlock()
		if len(topics) < maxTopics && strings.HasPrefix(m.Topic, "$SYS/") {
			topics = append(topics, m.Topic)
			if len(topics) == maxTopics {
				close(full)
			}
		}
	}, nil)
	if err != nil {
		return nil
	}
	defer func() { _ = e.Close(); <-e.Done() }()
	if _, err := e.Connect(ctx); err != nil {
		return nil
	}
	if _, err := e.Subscribe(ctx, []client.Subscription{{Filter: "$SYS/#"}}, nil); err != nil {
		return nil
	}
	settle(ctx, full, func() int { mu.Lock(); defer mu.Unlock(); return len(topics) })
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(topics)
	return slices.Clone(topics)
}

// settle waits until count grows no more, is full, or ctx ends: retained messages come
// in one go.
func settle(ctx context.Context, full <-chan struct{}, count func() int) {
	const pause = 30 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for before := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-full:
			return
		case <-ticker.C:
		}
		n := count()
		if n > 0 && n == before {
			return
		}
		before = n
	}
}
