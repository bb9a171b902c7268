package backchannel

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// mostWaiting bounds what waits in a lane: at about 1 KiB each.
const mostWaiting = 1000

// lanes are queues by name, each with a goroutine of its own while it holds something.
type lanes struct {
	closing context.Context // Done from Close on
	close   context.CancelFunc
	work    sync.WaitGroup

	mu     sync.Mutex
	queues map[string][]job // what waits; there is one as long as the goroutine runs
}

// job is something to do, again if it fails.
type job struct {
	do  func(context.Context) error
	log func(*zerolog.Event) *zerolog.Event // adds what it is about, and a hint
}

// enqueue has a job done in a lane, after those that wait there.
func (n *Notifier) enqueue(lane string, j job) {
	n.lanes.mu.Lock()
	defer n.lanes.mu.Unlock()
	waiting, running := n.lanes.queues[lane]
	switch {
	case n.lanes.closing.Err() != nil:
		n.failed(j, errors.New("the program ends or has a new configuration"))
		return
	case len(waiting) >= mostWaiting:
		n.failed(j, errors.New("too many wait"))
		return
	}
	if n.lanes.queues == nil {
		n.lanes.queues = map[string][]job{}
	}
	n.lanes.queues[lane] = append(waiting, j)
	if !running {
		n.lanes.work.Go(func() { n.run(lane) })
	}
}

// run does what waits in a lane until there is nothing.
func (n *Notifier) run(lane string) {
	for {
		n.lanes.mu.Lock()
		waiting := n.lanes.queues[lane]
		if len(waiting) == 0 {
			delete(n.lanes.queues, lane)
			n.lanes.mu.Unlock()
			return
		}
		next := waiting[0]
		n.lanes.queues[lane] = waiting[1:]
		n.lanes.mu.Unlock()
		if err := n.try(next); err != nil {
			n.failed(next, err)
		}
	}
}

// try does a job up to three times, a second and four seconds apart.
func (n *Notifier) try(j job) (err error) {
	pause := time.Second
	for range tries - 1 {
		if err = j.do(n.lanes.closing); err == nil || n.lanes.closing.Err() != nil {
			return err
		}
		select {
		case <-n.After(pause):
		case <-n.lanes.closing.Done():
			return err
		}
		pause *= 4
	}
	return j.do(n.lanes.closing)
}

func (n *Notifier) failed(j job, err error) {
	j.log(n.Log.Warn()).Str("event", "app_not_told").Err(err).Msg("an app was not told that a person signed out")
}
