package idptest

import "github.com/chromedp/chromedp"

// Leave runs a JavaScript statement that leaves the page in which it runs or closes its window. Run at once, the answer
// to the command itself would be lost whenever the navigation or the end of the window comes first, and the command would
// fail; so the page answers, and then acts. What it leads to is for the test to wait for.
func Leave(statement string) chromedp.Action[string] {
	return chromedp.Evaluate[string](`setTimeout(() => { ` + statement + ` }); ""`)
}

// ClickAndLeave is [Leave] for a click on the first visible element that a CSS selector matches.
func ClickAndLeave(selector string) chromedp.Action[string] {
	return Leave("[...document.querySelectorAll(`" + selector + "`)].find((element) => element.offsetParent).click()")
}
