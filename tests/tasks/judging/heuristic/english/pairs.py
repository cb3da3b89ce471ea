"""Pairs of sentences that differ by one fault, written for these tests: what is right | what is wrong, by rule."""

DETERMINERS = """
A dog barked at the moon. | A dogs barked at the moon.
She picked every flower in the field. | She picked every flowers in the field.
Another rabbit came along. | Another rabbits came along.
This old boat was leaking. | This old boats was leaking.
These rabbits are hungry. | These rabbit are hungry.
Those tall trees swayed. | Those tall tree swayed.
Many cakes stood on the table. | Many cake stood on the table.
He counted seven stars in the sky. | He counted seven star in the sky.
Both boys laughed. | Both boy laughed.
A few pencils fell on the floor. | A few pencil fell on the floor.
There were several ducks on the pond. | There were several duck on the pond.
Grandpa ate too many cookies. | Grandpa ate too much cookies.
He had fewer marbles than Mia. | He had less marbles than Mia.
One of the ducks quacked. | One of the duck quacked.
She lost two of her shoes. | She lost two of her shoe.
My dog is brown. | The my dog is brown.
She found the ball. | She found a the ball.
Their mother came home. | Their the mother came home.
The cat is asleep. | The is asleep.
He gave the bird to her. | He gave the to her.
He saw a dog in the park. | He saw dog in the park.
She sat under the big tree. | She sat under big tree.
Tom wanted a kite. | Tom wanted kite.
"""
PRONOUNS = """
He went to bed. | Him went to bed.
They were late for school. | Them were late for school.
She laughed because they ran away. | She laughed because them ran away.
She and Tom played outside. | Her and Tom played outside.
Tom and I went fishing. | Tom and me went fishing.
The fox played with him. | The fox played with he.
Mother baked a cake for them. | Mother baked a cake for they.
The puppy followed her. | The puppy followed she.
We slept in their house. | We slept in they house.
The boy dressed himself. | The boy dressed hisself.
They helped themselves to cake. | They helped theirselves to cake.
She looked at herself in the mirror. | She looked at himself in the mirror.
They washed themselves in the river. | They washed himself in the river.
I hurt myself on the fence. | I hurt herself on the fence.
The boys hid themselves in the barn. | The boys hid itself in the barn.
"""
AGREEMENT = """
They were happy. | They was happy.
He is my friend. | He are my friend.
She has a red hat. | She have a red hat.
It doesn't rain today. | It don't rain today.
We are going home. | We is going home.
I am cold. | I is cold.
He goes to school every day. | He go to school every day.
They play in the garden. | They plays in the garden.
I want some milk. | I wants some milk.
The dogs are barking. | The dogs is barking.
The little girl was tired. | The little girl were tired.
A frog has long legs. | A frog have long legs.
The dogs near the house are loud. | The dogs near the house is loud.
The cup on the shelves is blue. | The cup on the shelves are blue.
The box of toys was heavy. | The box of toys were heavy.
The teacher with the boys sings. | The teacher with the boys sing.
The dogs bark. | The dogs barks.
The bird sings in the morning. | The bird sing in the morning.
The cats that like milk are sleepy. | The cats that like milk is sleepy.
The boy who saw the ducks was glad. | The boy who saw the ducks were glad.
The girls who live here are kind. | The girls who lives here are kind.
The dogs that were wet ran home. | The dogs that was wet ran home.
The cat and the dog are friends. | The cat and the dog is friends.
One of the birds is blue. | One of the birds are blue.
There were two bears in the cave. | There was two bears in the cave.
There is a spider on the wall. | There are a spider on the wall.
Are the dogs hungry? | Is the dogs hungry?
Where is the boy? | Where are the boy?
Does he like soup? | Do he like soup?
Were they at home? | Was they at home?
What does the bird eat? | What do the bird eat?
Has the girl eaten? | Have the girl eaten?
Everybody was quiet. | Everybody were quiet.
Yesterday, the children were sick. | Yesterday, the children was sick.
"""
VERB_FORMS = """
The bird can fly. | The bird can flew.
She will not eat it. | She will not eats it.
You must go now. | You must went now.
They could see the sea. | They could saw the sea.
Can he swim? | Can he swims?
She would get a boat. | She would getting a boat.
The fox went away. | The went away.
Would they come? | Would they came?
He didn't go home. | He didn't went home.
She does not like rain. | She does not likes rain.
Did the boy find it? | Did the boy found it?
Did you see the moon? | Did you saw the moon?
What does she want? | What does she wants?
He wanted to go home. | He wanted to went home.
She likes to eat plums. | She likes to eats plums.
He tried to open the box. | He tried to opened the box.
The mouse has gone away. | The mouse has went away.
She had eaten the plum. | She had ate the plum.
They have seen the lake. | They have saw the lake.
He was eating a pear. | He was ate a pear.
She is going home. | She is goes home.
They were running fast. | They were run fast.
He went home. | He gone home.
She saw a whale. | She seen a whale.
They did it again. | They done it again.
The bear ate the fish. | The bear eaten the fish.
The girl drew a house. | The girl drawed a house.
He threw the ball. | He throwed the ball.
She knew the way. | She knowed the way.
The children laughed. | The childs laughed.
Three mice ran away. | Three mouses ran away.
The sheep slept. | The sheeps slept.
This one is bigger. | This one is more bigger.
She was the tallest girl. | She was the most tallest girl.
He is happy. | He happy.
She was in the garden. | She in the garden.
He didn't see anything. | He didn't see nothing.
They don't have any bread. | They don't have no bread.
"""
QUESTIONS = """
Where is the dog? | Where the dog is?
What are you doing? | What you are doing?
Why is she crying? | Why she is crying?
How do you do it? | How you do it?
What do you want? | What you want?
Does he like cake? | Likes he cake?
What does she want? | What wants she?
Is he sad? | Does he is sad?
Can she swim? | Is she can swim?
Do you want it? | Are you want it?
Yesterday he went to town. | Yesterday he goes to town.
Last night they saw a fox. | Last night they see a fox.
Tomorrow we will go to the sea. | Tomorrow we went to the sea.
He opened the door and saw a cat. | He opened the door and sees a cat.
"""


def pairs(text: str) -> list[tuple[str, str]]:
    """The pairs of a list."""
    lines = [line.split(" | ") for line in text.strip().splitlines()]
    return [(right, wrong) for right, wrong in lines]


FINE = """
He gave each other child a sweet and a few small apples.
The two hug in the kitchen.
Tom was three when his sister was born.
The family was at home, and the fish were in the pond.
If he were a bird, he would fly away.
What a big dog you have!
When he comes home, will you play with him?
All she had was a small red hat.
The toys he had were old.
The boy saw the dogs and the cat was glad.
There was a dog and two cats in the yard.
There were a lot of flowers and there was some milk.
She made him go to bed, and he let her go.
How could she go there alone?
Not only did he go, but he stayed.
"Stop!" cried he.
She cut herself a piece of bread and took care of it.
Take care of yourself.
They jumped from tree to tree, and Ben jumped rope.
He found a lost ball and a big stuffed lion.
A new family moved in next door.
Will asked his friend to help him.
They took toys and treats to the woods.
The bus ride was short, and the toy stand was closed.
She knew that reading books was fun.
One of the boys who were late had run home.
The rest of the cake was gone, and half of the plums were left.
It was time to go to bed, and so they did.
"""
