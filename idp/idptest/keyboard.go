package idptest

import "github.com/chromedp/chromedp"

// Type focuses the first element that a CSS selector matches, once it is
// visible, and types a text. It stands for chromedp.SendKeys (v0.23), which reads
// the attributes of the element without the lock under which they change, so that
// the race detector fails a test now and then.
func Type(selector, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.WaitVisible(chromedp.CSS(selector)),
		chromedp.Focus(chromedp.CSS(selector)),
		chromedp.KeyEvent(text),
	)
}
