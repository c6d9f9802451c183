"""The words of the example documents, written for this project."""

STORIES = {
    "The lamp of Hollow Quay": """\
Maren Oduya kept the lamp at Hollow Quay for nineteen winters, and in all that time she had let it go out once. Nobody on the quay spoke of it. The boats came in, the nets were hung on the rails, and when the talk turned to lights and rocks someone would ask about the price of salt.

The night it went out had begun like any other. Maren climbed the stair with the brass can in her left hand, because the right one still ached from the fall in spring, and she filled the lamp to the line her father had scratched into the glass. She counted the boats in the log. There should have been eleven. She counted ten.

"Tobias is late," she told the cat, whose name was Penny and who did not care for Tobias.

She trimmed the wick and waited. At nine the wind turned. At ten the glass began to sing, which it did only when the north window was loose, and Maren went down to the shed for the wooden wedge. It was not on its nail. She looked under the bench, behind the paint, inside the old oilskin that had been her father's. When she came back up without it the window stood open, the lamp was dark, and Penny sat in the middle of the floor with her ears flat.

It took four minutes to light it again. Maren knew because she wrote it down: four minutes, ten past ten to fourteen past. In the morning they found the boat of Tobias on the Sisters, the two flat rocks that lie just where the light ought to fall, and Tobias himself sitting on the higher of them with a broken oar across his knees, blue with cold and alive.

He never said a word against her. He married in May, built a smaller boat, and sent a basket of plums up the stair each autumn. Maren ate the plums and did not sleep well.

Nineteen winters is a long time to look for a wedge. She made another, of course, out of ash, and it held the window as well as the first. But in the spring she gave up the lamp, when the young keeper from the mainland was already carrying his boxes up the stair, the cat that was the granddaughter of Penny pushed something out from under the lowest step. It was the wedge. It had been cut down on one side with a knife, neatly, so that it no longer fitted the window of a lamp house but would just fit the rowlock of a small boat.

Maren turned it over. On the flat side, in the square letters he used for his crab pots, someone had scratched a T.

She put it in her pocket and walked down to the quay. Tobias was mending a net, and when he saw what she held he put the needle down.

"I meant to bring it back that same evening," he said. "I was going to say so every autumn."

"So it was the plums," said Maren, and sat down beside him, and for the first time in nineteen years they talked about the light.
""",
    "Nine keys for the orchard house": """\
When old Mrs. Castellane died she left the orchard house to her nephew Edmund, with nine keys on an iron ring and no word about what they opened.

There were seven doors. Edmund, who was a careful man and taught arithmetic, tried every key in every lock on the first afternoon and wrote the result on a card. The front door took the key with the square bow. The kitchen took the long one. The cellar, the linen room, the two bedrooms and the gate of the orchard each took one more. That left a small key of yellow brass and a black one with a broken tooth, and no door for either.

"Sell it with the ring as it is," said his sister Judith, who had come to help with the curtains. "Nobody counts keys."

Edmund counted keys. He looked for a desk, a clock, a chest. He tapped the panels of the stair. In the second week he found that the case of the barometer in the hall had a keyhole no bigger than a lentil, and the yellow brass key turned in it as if it had been oiled that morning. Inside lay a folded list in his aunt's upright hand: the names of forty-two apple trees, row by row, each with a year. Next to the last tree of the last row, the russet by the wall, there was no year but a single word. The word was "below".

He did not dig. It was February and the ground was hard, and besides a man who teaches arithmetic does not dig under a tree because of a word. He put the list back into the barometer, locked it, and went home to his school.

But in the spring the russet did not flower. The other forty-one trees did, and Judith, who had not sold the house after all but moved into it with her paints, wrote to say that the ground around the russet had sunk by a hand. Edmund took the train with the black key in his waistcoat.

They dug on a Sunday. At the depth of a spade and a half they struck an iron lid, and in the lid a lock, and in the lock, when Edmund had cleaned it with a feather, the black key with the broken tooth would not turn.

"It is broken," said Judith.

"It was made so," said Edmund slowly. He was looking at the list, and at the row of years, and at the gap where one should have been. Then he turned the key the other way, as one turns a thing that is to be locked and not opened, and the lid came up.

There was water below, clear and quite deep, and a bucket on a chain. That was all. It was the old well of the farm, which everyone had thought was filled in when their grandfather was a boy. On the inside of the lid their aunt had painted, in letters that were still white: "Edmund will find the way in. Judith is to have the water."

The russet flowered the year after. They had the ring hung in the hall beside the barometer, with all nine keys on it, and a card under each.
""",
    "The clockmaker's second apprentice": """\
The first apprentice of Ilse Varga could file a wheel so true that it ran an hour without a tooth clicking, and everybody in Lindenmarkt knew his name. This is about the second one, who was called Pell.

Pell broke things. In his first month he broke a loupe, two mainsprings and the handle of the good kettle. Ilse Varga said nothing and put each broken piece in a cigar box under the bench. When Pell asked what the box was for, she said that it was for later.

In the autumn the town council brought her the clock of the corn hall, in eleven crates, because it had begun to strike thirteen. Three clockmakers had been asked before. The first had found nothing. The second had found a worn pin and replaced it, and the clock had struck thirteen again that very night. The third had taken his fee and moved to the coast.

Ilse Varga laid the movement out on the floor of the workshop on a bed sheet, wheel by wheel, and she and the first apprentice measured all of it for nine days. The pins were sound. The count wheel had its seventy-eight steps and not one more. On the tenth day she was called to her sister, who was ill, and she left the first apprentice in charge of the clock and Pell in charge of the kettle.

Pell made tea. Then, because nobody had told him not to, he picked up the hammer of the strike, and dropped it.

It did not ring as iron should. Pell, who had dropped a great many things made of iron and knew the sound of each, picked it up and dropped it again. The first apprentice shouted. Pell dropped it a third time, nearer to his ear, and said: "There is something loose in it."

They sawed it open on Ilse Varga's return, and only because she nodded. Inside the head of the hammer, in a hollow left by the casting, lay a lead shot no bigger than a pea. Whenever the clock struck twelve the shot had rolled a little further up, and at the twelfth blow it fell back, and the head knocked once more against the bell. It had needed a hundred and forty years to wear its track smooth enough to do so.

The council paid in full. Ilse Varga bought a new kettle. That evening she took the cigar box from under the bench and tipped it out before Pell: the loupe, the two springs, the handle, and the lead shot, which she had added to the rest.

"Tell me what each of them sounded like," she said, "when it broke."

And Pell, who remembered every one, began with the loupe. The first apprentice, whose wheels are still the truest in Lindenmarkt, put down his file to listen.
""",
    "What the ferryman owed": """\
There were two ways across the Aune in those days, the bridge at Stell, which cost a penny, and the ferry of Josquin Bray, which cost nothing if you could tell him something he did not know.

Josquin had been asked why. He said that he had crossed the river some forty thousand times and seen the same two banks each time, and that a penny would not change them. So people told him things. A carter told him how to stop a wheel from squeaking with the rind of bacon. A nun told him the name of the star over the mill. A boy told him that the miller's dog had three kinds of bark, and did all three, and Josquin rowed him over and back again.

The woman with the green case came on a market day. She sat in the bow and did not speak until they were in the middle, where the current is strongest and Josquin had no breath for talk.

"I know what you owe," she said.

Josquin owed nobody. He told her so, between two strokes.

"You owe my mother a crossing," said the woman. "Thirty-one years ago, in the flood. She told you something you did not know, and you turned back halfway."

He had turned back once in his life. He remembered the water, brown and loud, and a girl in the bow who held a bundle under her coat, and the trunk of a poplar coming down on them end over end. He had put about. On the bank the girl had looked at him, and at the far side, and had walked off along the road to Stell, to the bridge, which that same night went down with the mill and the star and everybody who stood upon it. He had never learned her name, and for thirty-one years he had believed that she was on it.

The oars had stopped. The boat swung round with the stream and he let it.

"What was it," he asked at last, "that she told me? I have forgotten. I have tried to think of it every night, and it was gone with the rest."

The woman opened the green case. There was a fiddle in it, small and very dark, the kind that is made for a child, and around its neck hung a string with a bone button.

"She told you that the thing under her coat was alive," she said. "She had not told anyone else. She sat down by the road to feed me, and so she came to the bridge too late."

Josquin Bray took up the oars again. He brought her over, and he would not let her step out until he had rowed back to the other side and over once more, to make it right, with the fiddle playing in the bow. After that day he took pennies like everyone else. When people asked him why, he said that he had been told the thing he did not know, and that the rest could be had for money.
""",
}

GLOSSARIES = {
    "A short glossary of bread": [
        ("autolyse", "a rest of flour and water before salt and leaven are added"),
        ("banneton", "a basket of cane or wood pulp in which a loaf proves and takes its rings"),
        ("biga", "a stiff starter made the day before with a pinch of yeast"),
        ("bench rest", "the quarter of an hour in which a rounded piece relaxes under a cloth"),
        ("bran", "the skin of the grain, sifted out of white flour"),
        ("bulk", "the first and longest rise, all pieces still in one trough"),
        ("couche", "a length of stiff linen, folded between long loaves to hold them up"),
        ("crumb", "everything inside the crust; open where the holes are large"),
        ("docking", "pricking a flat dough so that it does not lift in the oven"),
        ("ear", "the ridge of crust that stands up along a cut"),
        ("extraction", "how much of the grain is left in the flour, in hundredths"),
        ("folding", "lifting the edge of a wet dough over its middle instead of kneading"),
        ("gluten", "the net of proteins that holds the gas"),
        ("hydration", "the weight of water for each hundred of flour"),
        ("lame", "a blade on a stick for scoring"),
        ("levain", "a piece of sour starter built up for one batch"),
        ("malt", "sprouted and dried barley, a little of which browns a crust"),
        ("oven spring", "the growth of a loaf in its first ten minutes of heat"),
        ("peel", "the flat shovel that carries loaves in and out"),
        ("poolish", "a starter of equal weights of flour and water"),
        ("proof", "the last rise, after shaping"),
        ("retard", "to slow a dough down in the cold, often for a night"),
        ("rye sour", "a starter of rye, kept sharper than one of wheat"),
        ("scald", "flour stirred into boiling water to make it hold more of it"),
        ("scoring", "the cut that tells a loaf where to open"),
        ("soaker", "seeds or coarse meal left in water so that they do not rob the dough"),
        ("strike", "to turn a loaf out of its basket with one movement"),
        ("tempering", "bringing the water to the warmth that the dough should end with"),
        ("tin loaf", "a loaf baked in a mould, flat on three sides"),
        ("sponge", "the loose first half of a dough, left to work before the rest of the flour is mixed in"),
        ("stretch", "to pull a corner of the dough as far as it will go without a tear"),
        ("window test", "stretching a bit of dough thin enough to see light through it"),
    ],
    "Words of the weaving shed": [
        ("batten", "the swinging frame that carries the reed and beats each thread home"),
        ("beam", "a roller at the back for the warp, or at the front for the cloth"),
        ("bobbin", "a small spool that fits into a shuttle"),
        ("cross", "the figure of eight in which a warp is kept in order"),
        ("dent", "one gap of the reed"),
        ("draft", "the plan on squared paper by which a loom is threaded"),
        ("end", "a single thread of the warp"),
        ("fell", "the edge of the cloth where the last thread was laid"),
        ("float", "a thread that passes over more than one other without being bound"),
        ("harness", "a frame of heddles that rises or sinks as one"),
        ("heddle", "a wire or cord with an eye through which one end runs"),
        ("herringbone", "a twill that turns round at every few ends"),
        ("lease sticks", "two laths that hold the cross while a loom is dressed"),
        ("pick", "one passage of the weft"),
        ("plain weave", "over one and under one, the oldest of all"),
        ("raddle", "a comb of pegs for spreading the warp before it is wound on"),
        ("ratchet", "the toothed wheel that keeps a beam from running back"),
        ("reed", "the comb in the batten that sets how close the ends lie"),
        ("selvedge", "the outermost ends, which keep the cloth from fraying"),
        ("sett", "ends in one inch or in one centimetre"),
        ("shed", "the opening between raised and lowered ends"),
        ("shuttle", "the boat in which the weft crosses the shed"),
        ("sley", "to draw the ends through the reed"),
        ("take-up", "the length that is lost because threads bend around each other"),
        ("temple", "a bar with pins that holds the cloth to its full width"),
        ("tie-up", "which treadle is bound to which harness"),
        ("treadle", "a pedal that opens a shed"),
        ("twill", "a weave whose floats step sideways and make a slope"),
        ("tabby", "another name for plain weave, and for the thread that binds a patterned one"),
        ("thrums", "the ends that are left on the loom when the cloth is cut off, kept for tying"),
        ("waste yarn", "a few picks of anything at the start, which spread the warp and are pulled out later"),
        ("web", "the cloth while it is still on the loom"),
        ("warp", "all the threads that run the length of the cloth"),
        ("weft", "the thread that runs from side to side"),
        ("winder", "a spindle with a crank for filling bobbins"),
    ],
}
